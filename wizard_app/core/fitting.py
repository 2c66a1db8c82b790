"""Whether a model takes the rows and the grader of a run: asked before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from rft_project.platforms.catalogue import last_day
from rft_project.platforms.types import Access, JsonDict, ModelInfo, RowTools, text_of

_KINDS = {"score_model": "a judge", "label_model": "a judge", "python": "Python"}


@dataclass(frozen=True)
class RowFacts:
    """What counts about training rows. ``*_bytes``: of all rows as compact JSON, a line each. ``characters``: of the
    prompts' texts. ``not_user_last``, ``pictures`` and ``tools``: rows whose last message is not the user's, with parts
    other than text, with tools."""

    train: int = 0
    valid: int = 0
    train_bytes: int = 0
    valid_bytes: int = 0
    characters: int = 0
    not_user_last: int = 0
    pictures: int = 0
    tools: int = 0

    def with_row(self, row: JsonDict, *, size: int, valid: bool) -> RowFacts:
        messages = row.get("messages") or [{}]
        contents = [m.get("content") for m in messages]
        parts = [part for content in contents if isinstance(content, list) for part in content]
        seen = {
            "not_user_last": messages[-1].get("role") != "user",
            "pictures": any(not isinstance(part, dict) or part.get("type", "text") != "text" for part in parts),
            "tools": bool(row.get("tools")),
        }
        part = "valid" if valid else "train"
        seen |= {"characters": sum(len(text_of(content)) for content in contents)}
        seen |= {part: 1, f"{part}_bytes": size + 1}
        return replace(self, **{name: getattr(self, name) + count for name, count in seen.items()})


@dataclass(frozen=True)
class Misfit:
    """Why a model does not take what a run has, and what to do: two sentences. ``blocks``: training is refused;
    ``later``: a dry run is not, because it is mended without another split."""

    said: str
    remedy: str = ""
    blocks: bool = True
    later: bool = False

    def __str__(self) -> str:
        return f"{self.said} {self.remedy}".strip()


def closed(model: ModelInfo, today: date) -> Misfit | None:
    """Why training on ``model`` cannot be started on ``today``, by its dates and by what the account lists."""
    last = last_day(model)
    if last is not None and today.isoformat() > last:
        return Misfit(f"{model.label} can't be trained any more: {spoken(last)} was the last day.", _ANOTHER)
    if model.access is Access.RETIRED:
        return Misfit(f"{model.label} can't be trained there: the account does not list it for training.", _ANOTHER)
    return None


def misfits(model: ModelInfo, rows: RowFacts, grader: JsonDict, answers: int) -> list[Misfit]:
    """What ``model`` does not take, worst first. ``answers``: distinct answers to choose from, 0 for no list."""
    found = [*_counts(model, rows), *_contents(model, rows), *_graders(model, grader)]
    if model.needs_allowed_answers and not answers:
        found.append(Misfit(f"{model.label} picks from a list of answers, and these references are none.", _ANOTHER))
    return sorted(found, key=lambda misfit: not misfit.blocks)


_ANOTHER = "Choose another model."
_FEWER = "Take records out of the dataset, then split it again."


def _counts(model: ModelInfo, rows: RowFacts) -> list[Misfit]:
    found = []
    if rows.train < model.min_rows:
        say = f"{model.label} takes no fewer than {model.min_rows:,} rows to train on; this split has {rows.train:,}."
        found.append(Misfit(say, "Add records, or split again with a larger share to train on."))
    if model.max_train_rows is not None and rows.train > model.max_train_rows:
        say = f"{model.label} takes at most {model.max_train_rows:,} rows to train on; this split has {rows.train:,}."
        found.append(Misfit(say, _FEWER))
    sizes = [rows.train_bytes]
    if model.takes_validation:
        found += _validation(model, rows)
        sizes.append(rows.valid_bytes)
    if model.max_file_bytes is not None and max(sizes) > model.max_file_bytes:
        most, have = (f"{size / 2**20:,.0f} MB" for size in (model.max_file_bytes, max(sizes)))
        found.append(Misfit(f"{model.label} takes files of {most}; a file of this split has {have}.", _FEWER))
    return found


def _validation(model: ModelInfo, rows: RowFacts) -> list[Misfit]:
    if rows.valid < model.min_valid_rows:
        least = f"{model.min_valid_rows:,} rows to check with"
        say = f"{model.label} takes no fewer than {least}; this split has {rows.valid:,}."
        return [Misfit(say, "Split again and keep more of them.")]
    if model.max_valid_rows is not None and rows.valid > model.max_valid_rows:
        most = f"{model.max_valid_rows:,} rows to check with"
        say = f"{model.label} takes at most {most}; this split has {rows.valid:,}."
        return [Misfit(say, "Split again with a larger share to train on.")]
    return []


def _contents(model: ModelInfo, rows: RowFacts) -> list[Misfit]:
    found = []
    if model.last_message_user and rows.not_user_last:
        rest = f"not end with the user's message, which {model.label} asks for."
        say = f"{_rows(rows.not_user_last, 'does', 'do')} {rest}"
        found.append(Misfit(say, "Take these records out of the dataset, then split it again."))
    if model.text_only and rows.pictures:
        say = f"{_rows(rows.pictures, 'holds', 'hold')} pictures or other parts; {model.label} reads text only."
        found.append(Misfit(say, "Take these records out of the dataset, then split it again."))
    if rows.tools and model.row_tools is RowTools.UNPROVEN:
        rest = "the platform's pages do not say whether it trains with them."
        say = f"{_rows(rows.tools, 'offers', 'offer')} tools; {rest}"
        found.append(Misfit(say, blocks=False))
    if rows.tools and model.row_tools is RowTools.IGNORED:
        say = f"{_rows(rows.tools, 'offers', 'offer')} tools; {model.label} is not told of them."
        found.append(Misfit(say, blocks=False))
    return found


def _graders(model: ModelInfo, grader: JsonDict) -> list[Misfit]:
    strange = sorted(grader_types(grader) - set(model.grader_types))
    if not strange or not model.grader_types:
        return []
    uses = " and ".join(f"{_KINDS[name]} ({name})" if name in _KINDS else name for name in strange)
    say = f"The grader uses {uses}, which this platform does not run."
    return [Misfit(say, "Train elsewhere, or change the grader.", later=True)]


def grader_types(grader: JsonDict) -> set[str]:
    """The types a grader's document names: its own and, of a multi grader, those of its parts."""
    children = grader.get("graders")
    parts = list(children.values()) if isinstance(children, dict) else []
    return {str(part["type"]) for part in [grader, *parts] if isinstance(part, dict) and part.get("type")}


def spoken(day: str) -> str:
    """An ISO date as people write it: "15 April 2027"."""
    found = date.fromisoformat(day)
    return f"{found.day} {found:%B %Y}"


def _rows(count: int, one: str, many: str) -> str:
    return f"1 row {one}" if count == 1 else f"{count:,} rows {many}"
