"""What a dataset of a million records is asked: its pages, its counts, and changes of a hundred thousand records."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from statistics import median
from typing import Any

from django.db.models import Count
from django.test import Client
from django.urls import reverse

from datasets_app import bulk
from datasets_app.facts import dataset_facts
from datasets_app.filters import Where
from datasets_app.models import VALID, Change, Dataset
from rft_project.connections.models import Membership
from rft_project.jobs.foreground import finish
from rft_project.jobs.models import Job, State
from tests.bench.million import Asked, Clock, dataset_of, topic_name

ROUNDS, WARM = 15, 2
Figures = dict[str, Any]

#: Views of the records: name and what stands in the address. Each is opened at its first page and far down.
VIEWS: dict[str, dict[str, str]] = {
    "no filter": {},
    "valid": {"verdict": VALID},
    "one problem": {"code": "last_not_user"},
    "one topic": {"topic": topic_name(7)},
    "generated": {"source": "generated"},
    "needs review": {"review": "1"},
    "topic and verdict": {"topic": topic_name(7), "verdict": VALID},
    "problem and source": {"code": "empty_user_message", "source": "generated"},
}
SEARCHES = {
    "search, a number that one record has": "LM-{count}",
    "search, a word that many records have": "order",
    "search, two words": "refund parcel",
    "search in a topic": "invoice",
    "search, nothing found": "xylophone",
}


def measured(count: int) -> Callable[[], Figures]:
    """Fills the database, which is not measured, and gives what is."""
    import_module("datasets_app.jobs")  # a worker has loaded its handlers long before
    started = time.monotonic()
    dataset = dataset_of(count)
    filled = time.monotonic() - started
    return lambda: {"filled": filled, "pages": pages(dataset), "counts": counts(dataset), "bulk": changes(dataset)}


def _client(dataset: Dataset) -> Client:
    client = Client()
    person = Membership.objects.get(workspace=dataset.workspace).user
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def pages(dataset: Dataset) -> list[Figures]:
    client, clock, found = _client(dataset), Clock(), []

    def opened(name: str, path: str, query: dict[str, Any]) -> None:
        def once() -> None:
            response = client.get(path, query, headers={"HX-Request": "true"} if "/regions/" in path else {})
            assert response.status_code == 200, f"{name}: {response.status_code}"

        for _ in range(WARM):
            once()
        cpu = median(clock.of(once) for _ in range(ROUNDS))
        queries = Asked(once).costs(clock)
        costs = {"queries": len(queries), "query": sum(queries), "slowest": max(queries), "cpu": cpu}
        found.append({"page": name, **costs})

    for name, path in _other_pages(dataset).items():
        opened(name, path, {})
    records = reverse("datasets:records", args=[dataset.pk])
    keys = dataset.records.order_by("pk").values_list("pk", flat=True)
    deep = keys[0] + dataset.records.count() // 50
    for name, query in VIEWS.items():
        opened(f"records, {name}, first page", records, query)
        opened(f"records, {name}, deep page", records, {**query, "before": deep})
    for name, text in SEARCHES.items():
        query = {"q": text.format(count=dataset.records.count() // 2)}
        if name.endswith("topic"):
            query["topic"] = topic_name(7)
        opened(f"records, {name}", records, query)
    return found


def _other_pages(dataset: Dataset) -> dict[str, str]:
    record = dataset.records.order_by("-pk")[100]
    return {
        "datasets": reverse("datasets:datasets"),
        "dataset": reverse("datasets:dataset", args=[dataset.pk]),
        "coverage": reverse("datasets:coverage", args=[dataset.pk]),
        "summary": reverse("datasets:summary", args=[dataset.pk]),
        "report": reverse("datasets:report", args=[dataset.pk]),
        "topics": reverse("datasets:topics", args=[dataset.pk]),
        "one record": reverse("datasets:record", args=[dataset.pk, record.pk]),
    }


def counted_live(dataset: Dataset) -> dict[tuple[Any, ...], int]:
    """What the pages would have to ask without counters."""
    columns = ("verdict", "topic", "is_generated", "needs_review", "checked_by")
    rows = dataset.records.values_list(*columns).annotate(n=Count("pk")).order_by()
    return {row[:-1]: row[-1] for row in rows}


def counts(dataset: Dataset) -> Figures:
    """CPU of the facts of a dataset, from counters and by a live GROUP BY, turn by turn."""
    clock = Clock()
    dataset_facts(dataset)
    ours, live = [], []
    for _ in range(5):
        ours.append(clock.of(lambda: dataset_facts(dataset)))
        live.append(clock.of(lambda: counted_live(dataset)))
    return {"ours": ours, "live": live, "equal": counters_hold(dataset)}


def counters_hold(dataset: Dataset) -> bool:
    """Whether the facts say what counting says."""
    facts, live = dataset_facts(dataset), counted_live(dataset)
    valid = {key: n for key, n in live.items() if key[0] == VALID}
    topics: dict[str | None, int] = {}
    for key, n in valid.items():
        topics[key[1]] = topics.get(key[1], 0) + n
    said = {topic: n for topic, n in facts.topics.items() if n}
    return (
        facts.total == sum(live.values())
        and facts.valid == sum(valid.values())
        and facts.generated == sum(n for key, n in valid.items() if key[2])
        and facts.uncategorized == topics.pop(None, 0)
        and said == topics
    )


def changes(dataset: Dataset) -> list[Figures]:
    """Seconds of bulk actions on a tenth of the records and of their undo, the counts compared after each."""
    chosen = bulk.Selection.all_matching(dataset, Where(topic=topic_name(0)))
    found = []
    for name, action, values in (
        ("set topic", "set_topic", {"into": topic_name(1)}),
        ("delete", "delete", {}),
    ):
        number = chosen.records(dataset).count()
        plan = bulk.plan(dataset, action, chosen, values)
        began, change = _timed(partial(_begin, dataset, plan))
        found.append({"what": name, "records": number, "seconds": began, "equal": counters_hold(dataset)})
        undone, _ = _timed(partial(_undo, change))
        found.append({"what": f"undo of {name}", "records": number, "seconds": undone})
        found[-1]["equal"] = counters_hold(dataset) and chosen.records(dataset).count() == number
    return found


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.monotonic()
    result = work()
    return time.monotonic() - started, result


def _begin(dataset: Dataset, plan: bulk.Plan) -> Change:
    change = bulk.begin(dataset, plan, by=None)
    assert change is not None and change.job is not None
    job = finish(change.job)
    assert job.state == State.SUCCEEDED, job.error_message
    change.refresh_from_db()
    return change


def _undo(change: Change) -> None:
    assert bulk.undo(change, by=None) is None
    change.refresh_from_db()
    job = finish(Job.objects.filter(kind="undo").latest("pk"))
    assert job.state == State.SUCCEEDED, job.error_message
