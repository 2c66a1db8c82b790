"""The page of questions: one record, the topics it may belong to, and what the answers have done so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from datasets_app import reviewing
from datasets_app.actions import CATEGORIZE, last_result, last_run
from datasets_app.core.records import Trace
from datasets_app.core.topics import UNKNOWN, readable
from datasets_app.models import Dataset, Question
from datasets_app.reviewing import ENOUGH, Standing
from rft_project.web.text import duration, number, percent, plural


@dataclass(frozen=True)
class Choice:
    """A topic with the key that gives it."""

    key: str
    name: str
    label: str
    share: str


@dataclass(frozen=True)
class QuestionPanel:
    """``others``: topics without a key, as they read. ``put_off``: the record skipped just now, which Z brings back."""

    dataset: Dataset
    question: Question | None
    trace: Trace | None
    standing: Standing
    sorted: bool
    choices: list[Choice]
    others: list[str]
    why: str
    changed: str
    wrong: str
    put_off: int

    @property
    def page(self) -> str:
        return reverse("datasets:review", args=[self.dataset.pk])

    @property
    def progress(self) -> str:
        """Where the sitting stands: "12 of 40 answered, about 1 min 24 s to go"."""
        said = f"{number(self.standing.answered)} of {number(self.standing.goal)} answered"
        return f"{said}, about {duration(self.standing.seconds)} to go" if self.standing.seconds else said

    @property
    def taught(self) -> bool:
        """Enough answers for another run to pay."""
        return self.standing.answered >= ENOUGH

    @property
    def round_done(self) -> bool:
        """The round is through, or there is nothing left to ask: sorting again comes next."""
        return bool(self.standing.answered) and (not self.question or self.standing.answered % reviewing.ROUND == 0)


def question_panel(dataset: Dataset, *, wrong: str = "", put_off: int = 0) -> QuestionPanel:
    standing, question = reviewing.standing(dataset), reviewing.next_question(dataset)
    leaves = dataset.topics.leaves()
    likely = [(name, share) for name, share in (question.choices if question else ()) if name in leaves]
    offered = {name for name, _ in likely}
    return QuestionPanel(
        dataset=dataset,
        question=question,
        trace=question.record.trace if question else None,
        standing=standing,
        sorted=last_run(dataset, CATEGORIZE) is not None,
        choices=[
            Choice(str(key), name, readable(name), percent(share, 0)) for key, (name, share) in enumerate(likely, 1)
        ],
        others=[readable(name) for name in leaves if name not in offered],
        why=why_sentence(question, likely) if question else "",
        changed="" if standing.answered else changed_sentence(last_result(dataset, CATEGORIZE)),
        wrong=wrong,
        put_off=put_off,
    )


def why_sentence(question: Question, likely: list[tuple[str, float]]) -> str:
    """Why of all records this one is asked about."""
    shares = [f"{readable(name)} ({percent(share, 0)})" for name, share in likely[:2]]
    if question.record.topic == UNKNOWN:
        closest = f"; closest is {shares[0]}" if shares else ""
        doubt = f"It resembles no topic enough{closest}."
    elif len(shares) == 2:
        doubt = f"It could be {shares[0]} or {shares[1]}."
    else:
        doubt = "Its topic is not sure."
    if not question.alike:
        return f"{doubt} No other doubtful record is worded like it."
    are = "record is" if question.alike == 1 else "records are"
    return f"{doubt} {number(question.alike)} other doubtful {are} worded like it: your answer teaches about them too."


def changed_sentence(result: dict[str, Any]) -> str:
    """What the last run did with what people had taught, '' where they had taught nothing."""
    if not result.get("examples") or not result.get("doubtful_before"):
        return ""
    now = result["needs_review"] + result["unknown"]
    return (
        f"Sorted again with what people had answered ({plural(result['examples'], 'record')}): "
        f"{plural(result['moved'], 'record')} moved to another topic, and {number(now)} are doubtful now; "
        f"before there were {number(result['doubtful_before'])}."
    )
