"""What a generated message must be before it becomes a record; each rejection has a code and a sentence. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .dedupe import DuplicateIndex, Match, Said, prints_of, shared_lines
from .identity import digest_of, normal
from .sanitizing import CODES, SanitizeConfig

LEAST = 20  # characters
NEAR = 0.7  # Jaccard from which a message is too close to another: a copy with a few words changed is one still

# code -> title; codes of the sanitize rules come beside them
REASONS: dict[str, str] = {
    "unreadable": "Answer could not be read",
    "missing": "Fewer messages than asked for",
    "too_short": "Too short",
    "refusal": "The model refused",
    "artefact": "Says that a model wrote it",
    "placeholder": "Placeholder left in",
    "example_label": "Label of an example left in",
    "unknown_reference": "Reference answer is no known label",
    "unknown_tool": "Names no tool of the record",
    "copy_of_record": "Copy of a record",
    "near_copy_of_record": "Nearly a copy of a record",
    "copy_of_generated": "Repeats a generated message",
    "near_copy_of_generated": "Nearly repeats a generated message",
    "surplus": "Not needed any more",
    "call_failed": "The call failed",
    "lost": "The answer was lost when the worker stopped",
}

# Users say "I can't create an account": what a model refuses is to help, or to write "this" and "such messages".
_REFUSAL = re.compile(
    r"^\W*(?:(?:i(?:'|’)?m\s+(?:\w+\s+)?sorry|sorry|i\s+apologi[sz]e|unfortunately)\W+(?:but\s+)?)?"
    r"(?:i\s+(?:can(?:no|['’])t|can\s+not|won['’]t|must\s+decline\s+to)|i(?:\s+am|['’]m)\s+(?:unable|not\s+able)\s+to)\s+"
    r"(?:(?:help|assist|comply|fulfil\w*)(?!\s+but\b)\b"
    r"|(?:provide|create|generate|write|produce)\s+(?:that|this|these|those|such|any|messages|examples|content|what)\b)",
    re.IGNORECASE,
)
_ARTEFACT = re.compile(
    r"\bas\s+an?\s+(?:ai\b|a\.i\.|artificial\s+intelligence|(?:large\s+)?language\s+model|assistant,\s+i\b)"
    r"|\bi(?:'|’)?m\s+(?:just\s+)?an?\s+(?:ai|language\s+model)\s*(?:[.,;!]|and\b|so\b|model\b|assistant\b|$)|\bmy\s+(?:training\s+data|knowledge\s+cutoff)\b"
    r"|^\W*(?:sure|certainly|of\s+course)[!,.]?\s+here(?:'|’)?s?\s+(?:are|is|a|an|some)?\b"
    r"|^\W*here\s+(?:are|is)\s+(?:\w+\s+){0,3}(?:messages?|examples?|requests?|variations?|quer(?:y|ies))\b"
    r"|^\s*```",
    re.IGNORECASE,
)
# What redaction leaves behind, <EMAIL_1>, is none. "todo list" is a user's word, TODO is not.
_PLACEHOLDERS = (
    re.compile(
        r"\[(?:insert|your|enter|add|name|date|number|company|product|order|user|customer|email|address|amount)\b"
        r"[^\]]{0,40}\]|\{\{.{0,80}?\}\}|\{%.{0,80}?%\}|\$\{\w{1,40}\}|\{[a-z]+(?:_[a-z]+)+\}|\blorem\s+ipsum\b",
        re.IGNORECASE,
    ),
    re.compile(r"\[[A-Z][A-Z0-9 _-]{2,40}\]|\bTODO\b|\bFIXME\b|\bXXX+\b"),
)
_LABEL = re.compile(
    r"^\W*(?:example|message|sample|variation|scenario|user\s+message|request|query|prompt)\s*#?\s*\d+\s*[:.)\-]"
    r"|^\W*(?:user|human|customer)\s*:\s",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Rejection:
    """Why a message does not become a record: a key of ``REASONS`` or ``CODES``, and one sentence."""

    code: str
    sentence: str


def title_of(code: str) -> str:
    return REASONS.get(code) or CODES.get(code, (code, ""))[0]


def judge_text(text: str) -> Rejection | None:
    """What the words alone say."""
    if len(text) < LEAST:
        said = f"It has {len(text)} character{'' if len(text) == 1 else 's'}; at least {LEAST} are needed."
        return Rejection("too_short", said)
    if _REFUSAL.search(text):
        return Rejection("refusal", f"It refuses instead of asking: “{_quoted(text)}”.")
    if found := _ARTEFACT.search(text):
        return Rejection("artefact", f"It speaks as a model does: “{_quoted(found.group())}”.")
    if left := _placeholder(text):
        return Rejection("placeholder", f"It holds the placeholder “{_quoted(left)}”.")
    if found := _LABEL.search(text):
        return Rejection("example_label", f"It begins with the label “{_quoted(found.group())}”.")
    return None


def _placeholder(text: str) -> str:
    return next((found.group() for pattern in _PLACEHOLDERS if (found := pattern.search(text))), "")


def _quoted(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59].rstrip() + "…"


@dataclass(frozen=True)
class Known:
    """A valid record that is there: its key, its last user message, and the whole of what it says."""

    key: int
    text: str
    said: Said
    generated: bool


class Neighbours:
    """Finds copies: of a record's last message, as it is or nearly, and of the whole record as the sanitize run does.

    ``config``: the dataset's limits; without near-duplicates there only the last messages are compared loosely. Made of
    all valid records in the order they came in; about 400 bytes each.
    """

    def __init__(self, config: SanitizeConfig, sample: Iterable[Sequence[str]]) -> None:
        """``sample``: the user turns of some records, for the lines that many share."""
        self._texts = DuplicateIndex(NEAR)
        self._wholes = DuplicateIndex(config.near_duplicates, shared_lines(sample))
        self._generated: set[int] = set()

    def learn(self, records: Sequence[Known]) -> None:
        """Remember records; ``generated`` ones are told apart in sentences."""
        keys = [record.key for record in records]
        self._texts.add_all(keys, prints_of([_of_text(record.text) for record in records], NEAR))
        whole = self._wholes
        whole.add_all(keys, prints_of([record.said for record in records], whole.threshold, whole.shared))
        self._generated |= {record.key for record in records if record.generated}

    def judge(self, key: int, text: str, said: Said) -> Rejection | None:
        """None where the message is new; then it is remembered under ``key`` (below 0 until it is a record)."""
        match = self._texts.add_all([key], prints_of([_of_text(text)], NEAR))[0]
        if match is None:
            whole = self._wholes
            match = whole.add_all([key], prints_of([said], whole.threshold, whole.shared))[0]
        if match is None:
            self._generated.add(key)
            return None
        return self._rejection(match)

    def _rejection(self, match: Match) -> Rejection:
        near = match.kind == "near_duplicate"
        generated = match.kept_key in self._generated
        name = f"{'near_' if near else ''}copy_of_{'generated' if generated else 'record'}"
        which = "another generated message" if match.kept_key < 0 else f"record {match.kept_key}"
        if near:
            return Rejection(name, f"Its words are {match.similarity:.0%} those of {which}.")
        return Rejection(name, f"It says the same as {which}.")


def _of_text(text: str) -> Said:
    return Said(digest_of(normal(text.encode("utf-8", "surrogatepass"))), "", [text])
