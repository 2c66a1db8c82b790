"""Is a dataset ready for reinforcement fine-tuning, and what is the one thing to do next? No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .coverage import balance_score
from .topics import readable

Level = Literal["ok", "warn", "block"]
Action = Literal[
    "import", "sanitize", "view_invalid", "topics", "categorize", "review", "generate", "privacy", "wizard"
]

TOPIC_RECORDS = 100  # per topic; fewer is a warning
MIN_BALANCE = 0.5
MAX_SYNTHETIC = 0.5
MAX_TOPIC_SHARE = 0.4
MAX_UNKNOWN = 0.1  # share of valid records without a topic that still is no warning
MIN_VALIDATED = 2  # trace records a topic needs so that one can be held out


@dataclass(frozen=True)
class DatasetFacts:
    """Counts that describe a dataset.

    ``topics``: valid records per leaf of the tree, the empty ones too (empty mapping: no tree yet).
    ``traces_by_topic``: of those, the ones that are not generated (missing: all of them).
    """

    total: int
    valid: int = 0
    invalid: int = 0  # duplicates too
    unchecked: int = 0  # not sanitized yet, or changed since
    generated: int = 0  # among the valid
    topics: Mapping[str, int] = field(default_factory=dict)
    traces_by_topic: Mapping[str, int] | None = None
    unknown: int = 0
    uncategorized: int = 0
    needs_review: int = 0
    findings: int | None = None  # records with personal data to review; None: nobody has looked, no check is shown
    secrets: int = 0  # records with secrets to review
    can_generate: bool = False  # a helper model is connected

    @property
    def traces(self) -> int:
        return self.valid - self.generated


class Check(NamedTuple):
    """One line of the checklist. ``detail`` says the number and, unless ok, what to do; ``action`` says where."""

    level: Level
    title: str
    detail: str
    action: Action | None = None


class Readiness(NamedTuple):
    """``ready`` when nothing blocks; warnings do not."""

    ready: bool
    checks: list[Check]

    @property
    def warnings(self) -> int:
        return sum(check.level == "warn" for check in self.checks)


class NextStep(NamedTuple):
    """The page's one primary button: what to do, why, and where."""

    sentence: str
    why: str
    action: Action


def share(part: int, whole: int) -> float:
    """``part / whole``; 0 of nothing."""
    return part / whole if whole else 0.0


def counted(number: int, one: str, many: str | None = None) -> str:
    """ "1 record", "1,200 records"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def readiness(facts: DatasetFacts, platform_min_rows: int = 10) -> Readiness:
    """The checklist "Ready for RFT". ``platform_min_rows``: fewest training rows the chosen platform takes."""
    checks = [_sanitized(facts), _enough(facts, platform_min_rows), _categorized(facts)]
    if facts.topics:
        checks += [_topic_sizes(facts), _balance(facts), _dominance(facts), _validation(facts)]
    checks.append(_synthetic(facts))
    if facts.findings is not None:
        checks.append(_findings(facts.findings, facts.secrets))
    return Readiness(all(check.level != "block" for check in checks), checks)


def _sanitized(facts: DatasetFacts) -> Check:
    title = "Every record is checked"
    if facts.total == 0:
        return Check("block", title, "There are no records yet: import traces.", "import")
    if facts.unchecked:
        detail = f"{counted(facts.unchecked, 'record')} of {facts.total:,} not checked yet: sanitize the dataset."
        return Check("block", title, detail, "sanitize")
    return Check("ok", title, f"{facts.valid:,} valid, {facts.invalid:,} set aside.")


def _enough(facts: DatasetFacts, least: int) -> Check:
    title = "Enough records for the platform"
    if facts.valid < least:
        return Check(
            "block", title, f"{facts.valid:,} valid, the platform takes {least:,} or more: import more.", "import"
        )
    return Check("ok", title, f"{facts.valid:,} valid, the platform takes {least:,} or more.")


def _categorized(facts: DatasetFacts) -> Check:
    title = "Every record has a topic"
    if not facts.topics:
        return Check("warn", title, "There are no topics yet, so coverage cannot be judged: make topics.", "topics")
    if facts.uncategorized:
        detail = f"{counted(facts.uncategorized, 'record')} without a topic: categorize the dataset."
        return Check("warn", title, detail, "categorize")
    unknown = share(facts.unknown, facts.valid)
    if unknown > MAX_UNKNOWN:
        detail = f"{counted(facts.unknown, 'record')} ({unknown:.0%}) fit no topic: review them or add topics."
        return Check("warn", title, detail, "review")
    return Check("ok", title, f"{counted(facts.unknown, 'record')} ({unknown:.0%}) of unknown topic.")


def _topic_sizes(facts: DatasetFacts) -> Check:
    title = f"At least {TOPIC_RECORDS} records in every topic"
    small = sorted((count, name) for name, count in facts.topics.items() if count < TOPIC_RECORDS)
    if not small:
        return Check("ok", title, f"The smallest topic has {min(facts.topics.values()):,}.")
    count, name = small[0]
    where = "one topic has fewer" if len(small) == 1 else f"{len(small)} topics have fewer"
    return Check("warn", title, f"{where.capitalize()}, {readable(name)} only {count:,}: fill the gap.", "generate")


def _balance(facts: DatasetFacts) -> Check:
    title = f"Balance above {MIN_BALANCE}"
    score = balance_score(facts.topics)
    if score is None:
        return Check("warn", title, "There is only one topic, so balance says nothing: split it.", "topics")
    if score <= MIN_BALANCE:
        detail = f"The smallest topic has {score:.2f} of the largest one's records: fill the gaps."
        return Check("warn", title, detail, "generate")
    return Check("ok", title, f"The smallest topic has {score:.2f} of the largest one's records.")


def _dominance(facts: DatasetFacts) -> Check:
    title = f"No topic above {MAX_TOPIC_SHARE:.0%}"
    name, count = max(facts.topics.items(), key=lambda pair: pair[1])
    part = share(count, sum(facts.topics.values()))
    if part > MAX_TOPIC_SHARE:
        detail = f"{readable(name)} is {part:.0%} of the categorized records: split it or fill the others."
        return Check("warn", title, detail, "topics")
    return Check("ok", title, f"The largest, {readable(name)}, is {part:.0%}.")


def _validation(facts: DatasetFacts) -> Check:
    title = "Validation would cover all topics"
    traces = facts.topics if facts.traces_by_topic is None else facts.traces_by_topic
    short = [name for name in facts.topics if traces.get(name, 0) < MIN_VALIDATED]
    if short:
        names = ", ".join(readable(name) for name in short[:3]) + (" and others" if len(short) > 3 else "")
        detail = f"{names}: fewer than {MIN_VALIDATED} records from traces, so none can be held out: import more."
        return Check("warn", title, detail, "import")
    return Check("ok", title, f"All {counted(len(facts.topics), 'topic')} can hold records out.")


def _synthetic(facts: DatasetFacts) -> Check:
    title = f"Less than {MAX_SYNTHETIC:.0%} generated"
    part = share(facts.generated, facts.valid)
    if part >= MAX_SYNTHETIC:
        return Check("warn", title, f"{part:.0%} of the valid records are generated: import more traces.", "import")
    return Check("ok", title, f"{part:.0%} of the valid records are generated.")


def _findings(personal: int, secrets: int) -> Check:
    title = "No unreviewed secrets or personal data"
    if secrets:
        held = f"{counted(secrets, 'record')} with passwords, keys or tokens"
        held += f", {personal:,} with personal data" if personal else ""
        return Check("block", title, f"{held}: review or redact them.", "privacy")
    if personal:
        return Check(
            "warn", title, f"{counted(personal, 'record')} with personal data: review or redact them.", "privacy"
        )
    return Check("ok", title, "Nothing is left to review.")


def next_step(facts: DatasetFacts) -> NextStep:
    """The first thing that stands between this dataset and a training run."""
    if facts.total == 0:
        return NextStep("Import your traces.", "Everything starts with the prompts your users really send.", "import")
    if facts.unchecked:
        why = f"{counted(facts.unchecked, 'record')} not checked yet, and a bad record fails a training run."
        return NextStep("Sanitize the records.", why, "sanitize")
    if facts.valid == 0:
        why = f"All {counted(facts.invalid, 'record')} were set aside, so there is nothing to train on."
        return NextStep("Look at the invalid records.", why, "view_invalid")
    if not facts.topics:
        return NextStep("Find the topics.", "Topics show which kinds of request are missing or too many.", "topics")
    if facts.uncategorized:
        why = f"{counted(facts.uncategorized, 'record')} without a topic, so coverage does not count them."
        return NextStep("Categorize the records.", why, "categorize")
    if share(facts.unknown + facts.needs_review, facts.valid) > 2 * MAX_UNKNOWN:
        why = (
            f"{facts.unknown:,} fit no topic and {facts.needs_review:,} are uncertain; your answers teach the next run."
        )
        return NextStep("Review the uncertain records.", why, "review")
    score = balance_score(facts.topics)
    if facts.can_generate and score is not None and score <= MIN_BALANCE:
        low = min(facts.topics, key=lambda name: facts.topics[name])
        why = f"{readable(low)} has only {facts.topics[low]:,}, {score:.2f} of the largest topic."
        return NextStep("Fill the gaps.", why, "generate")
    why = f"{counted(facts.valid, 'valid record')} in {counted(len(facts.topics), 'topic')}."
    return NextStep("Start a training run.", why, "wizard")
