from __future__ import annotations

from dataclasses import replace

import pytest

from datasets_app.core.readiness import DatasetFacts, next_step, readiness

READY = DatasetFacts(
    total=420,
    valid=400,
    invalid=20,
    generated=40,
    topics={"billing": 140, "delivery": 130, "refunds": 130},
    traces_by_topic={"billing": 130, "delivery": 120, "refunds": 110},
    findings=0,
)


def levels(facts: DatasetFacts, minimum: int = 10) -> dict[str, str]:
    return {check.title: check.level for check in readiness(facts, minimum).checks}


def test_a_ready_dataset_has_no_warnings() -> None:
    result = readiness(READY, platform_min_rows=10)
    assert result.ready
    assert [(check.title, check.level) for check in result.checks] == [
        ("Every record is checked", "ok"),
        ("Enough records for the platform", "ok"),
        ("Every record has a topic", "ok"),
        ("At least 100 records in every topic", "ok"),
        ("Balance above 0.5", "ok"),
        ("No topic above 40%", "ok"),
        ("Validation would cover all topics", "ok"),
        ("Less than 50% generated", "ok"),
        ("No unreviewed secrets or personal data", "ok"),
    ]
    assert all(check.action is None for check in result.checks)


@pytest.mark.parametrize(
    ("change", "title", "level", "action", "detail"),
    [
        ({"total": 0, "valid": 0, "invalid": 0}, "Every record is checked", "block", "import",
         "There are no records yet: import traces."),
        ({"unchecked": 3}, "Every record is checked", "block", "sanitize",
         "3 records of 420 not checked yet: sanitize the dataset."),
        ({"valid": 9}, "Enough records for the platform", "block", "import",
         "9 valid, the platform takes 10 or more: import more."),
        ({"topics": {}}, "Every record has a topic", "warn", "topics",
         "There are no topics yet, so coverage cannot be judged: make topics."),
        ({"uncategorized": 1}, "Every record has a topic", "warn", "categorize",
         "1 record without a topic: categorize the dataset."),
        ({"unknown": 60}, "Every record has a topic", "warn", "review",
         "60 records (15%) fit no topic: review them or add topics."),
        ({"topics": {"billing": 140, "delivery": 130, "refunds": 99}}, "At least 100 records in every topic", "warn",
         "generate", "One topic has fewer, Refunds only 99: fill the gap."),
        ({"topics": {"billing": 100, "delivery": 50}}, "Balance above 0.5", "warn", "generate",
         "The smallest topic has 0.50 of the largest one's records: fill the gaps."),
        ({"topics": {"billing": 400}}, "Balance above 0.5", "warn", "topics",
         "There is only one topic, so balance says nothing: split it."),
        ({"topics": {"billing": 300, "delivery": 200, "refunds": 200}}, "No topic above 40%", "warn", "topics",
         "Billing is 43% of the categorized records: split it or fill the others."),
        ({"traces_by_topic": {"billing": 130, "delivery": 1, "refunds": 110}}, "Validation would cover all topics",
         "warn", "import", "Delivery: fewer than 2 records from traces, so none can be held out: import more."),
        ({"generated": 200}, "Less than 50% generated", "warn", "import",
         "50% of the valid records are generated: import more traces."),
        ({"findings": 2}, "No unreviewed secrets or personal data", "warn", "privacy",
         "2 records with personal data: review or redact them."),
        ({"findings": 2, "secrets": 1}, "No unreviewed secrets or personal data", "block", "privacy",
         "1 record with passwords, keys or tokens, 2 with personal data: review or redact them."),
    ],
)  # fmt: skip
def test_every_check_says_what_to_do(change: dict, title: str, level: str, action: str, detail: str) -> None:
    result = readiness(replace(READY, **change), platform_min_rows=10)
    check = next(check for check in result.checks if check.title == title)
    assert (check.level, check.action, check.detail) == (level, action, detail)
    assert result.ready is (level == "warn")


def test_nobody_looked_for_secrets_so_none_is_claimed() -> None:
    assert "No unreviewed secrets or personal data" not in levels(replace(READY, findings=None))


@pytest.mark.parametrize(
    ("facts", "action"),
    [
        (DatasetFacts(total=0), "import"),
        (DatasetFacts(total=5, unchecked=5), "sanitize"),
        (DatasetFacts(total=5, invalid=5), "view_invalid"),
        (DatasetFacts(total=5, valid=5), "topics"),
        (DatasetFacts(total=5, valid=5, topics={"a": 0, "b": 0}, uncategorized=5), "categorize"),
        (DatasetFacts(total=5, valid=5, topics={"a": 1, "b": 1}, unknown=3), "review"),
        (DatasetFacts(total=100, valid=100, topics={"a": 90, "b": 10}, can_generate=True), "generate"),
        (DatasetFacts(total=100, valid=100, topics={"a": 90, "b": 10}), "wizard"),
        (READY, "wizard"),
    ],
)
def test_the_next_step_follows_the_journey(facts: DatasetFacts, action: str) -> None:
    step = next_step(facts)
    assert step.action == action
    assert step.sentence.endswith(".")
    assert step.why.endswith(".")
