"""Sessions become conversations, and go back: records, counts, words and findings are right at every moment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from datasets_app import actions, bulk, changes, editing, joining, privacy
from datasets_app.counters import _grouped
from datasets_app.models import (
    Change,
    Dataset,
    DatasetRecord,
    FoundValue,
    ImportBatch,
    JoinedPart,
    MadeRecord,
    RawRecord,
    RecordCount,
    RecordText,
)
from datasets_app.searching import newest
from rft_project.jobs.models import Job, State
from rft_project.jobs.services import request_cancel, retry
from tests.datasets_app.test_bulk import small_slices as small_slices
from tests.factories import import_file, make_dataset, plan_of, record, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db
SESSIONS, TURNS = 4, 3


def turn(session: int, number: int, **more: Any) -> dict[str, Any]:
    """One call of a session, logged by itself with its answer."""
    asked = {"role": "user", "content": f"Question {number} about order {session}?"}
    answer = {"role": "assistant", "content": f"Answer {number} about order {session}."}
    return {
        "input": {"messages": [{"role": "system", "content": "Be short."}, asked]},
        "output": {"messages": [answer]},
        "reference_answer": number,
        "span_id": f"span-{session}-{number}",
        "session_id": f"session {session}",
        **more,
    }


@pytest.fixture
def dataset(workspace: Any, tmp_path: Path) -> Dataset:
    """Four sessions of three records each, which lie between each other, and two records of nobody's."""
    made = make_dataset(workspace)
    lines = [turn(session, number) for number in range(TURNS) for session in range(SESSIONS)]
    lines += [record("A question of no session at all."), turn(9, 0)]
    import_file(made, write_lines(tmp_path / "log.jsonl", *lines))
    return made


@pytest.fixture
def client(owner: Any, client_of: Any) -> Client:
    return client_of(owner)


def rows(dataset: Dataset, *leave_out: str) -> list[tuple[Any, ...]]:
    columns = [f.attname for f in DatasetRecord._meta.concrete_fields if f.name not in leave_out]
    return list(dataset.records.order_by("pk").values_list(*columns, "raw__body"))


def previews(dataset: Dataset) -> list[str]:
    return list(dataset.records.order_by("pk").values_list("preview", flat=True))


def join(dataset: Dataset, **where: str) -> Change:
    change = bulk.begin(dataset, plan_of(dataset, "join", where), by=None)
    assert change is not None
    drain()
    return Change.objects.get(pk=change.pk)


def undo(change: Change) -> Change:
    bulk.undo(change, by=None)
    drain()
    return Change.objects.get(pk=change.pk)


def counted_anew() -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(_grouped(DatasetRecord._meta.db_table))
        return cursor.fetchall()


def as_kept() -> list[tuple[Any, ...]]:
    columns = [field.attname for field in RecordCount._meta.concrete_fields if field.name != "id"]
    return sorted(RecordCount.objects.values_list(*columns))


def test_a_session_becomes_one_conversation_that_names_its_parts(dataset: Dataset) -> None:
    parts = list(dataset.records.filter(session_id="session 1").order_by("pk").values_list("pk", "line"))
    change = join(dataset)
    assert (change.count, change.new, change.sentence) == (
        SESSIONS * TURNS,
        SESSIONS,
        "Joined sessions that were logged as several records",
    )
    assert dataset.records.count() == RawRecord.objects.count() == SESSIONS + 2
    made = dataset.records.get(session_id="session 1")
    trace = made.trace
    assert [m["content"] for m in trace.messages + trace.output_messages] == [
        "Be short.",
        *(text for n in range(TURNS) for text in (f"Question {n} about order 1?", f"Answer {n} about order 1.")),
    ]
    assert (made.verdict, made.preview, made.span_id, trace.reference_answer) == (
        "valid",
        "Question 2 about order 1?",
        "span-1-2",
        2,
    )
    assert trace.metadata["joined_from"] == [
        {"record": pk, "span_id": f"span-1-{number}", "file": "log.jsonl", "line": line}
        for number, (pk, line) in enumerate(parts)
    ]


def test_the_undo_swaps_them_back_row_for_row_and_joining_again_doubles_nothing(
    dataset: Dataset, small_slices: None
) -> None:
    before = rows(dataset)
    change = join(dataset)
    joined = rows(dataset, "id", "created_at", "import_key")
    change = undo(change)
    assert rows(dataset) == before
    assert (change.left, MadeRecord.objects.count()) == (0, SESSIONS)
    assert undo(change).left == 0
    assert rows(dataset) == before
    again = join(dataset)
    assert (again.count, again.new) == (SESSIONS * TURNS, SESSIONS)
    assert rows(dataset, "id", "created_at", "import_key") == joined
    assert undo(again).left == 0
    assert rows(dataset) == before


def test_what_stands_alone_already_is_not_changed(dataset: Dataset) -> None:
    join(dataset)
    before = rows(dataset)
    assert bulk.begin(dataset, plan_of(dataset, "join"), by=None) is not None
    drain()
    assert rows(dataset) == before
    assert Change.objects.count() == 1


def test_a_stop_keeps_whole_conversations_and_it_goes_on_from_there(dataset: Dataset, small_slices: None) -> None:
    before = rows(dataset)
    change = bulk.begin(dataset, plan_of(dataset, "join"), by=None)
    assert change is not None and change.job is not None
    drain(1, slice_seconds=0)
    request_cancel(change.job)
    drain()
    change.refresh_from_db()
    assert (Job.objects.get(pk=change.job.pk).state, change.count, change.new) == (State.CANCELLED, 3, 1)
    retry(change.job)
    drain(slice_seconds=0)
    change.refresh_from_db()
    assert (change.count, change.new, dataset.records.count()) == (SESSIONS * TURNS, SESSIONS, SESSIONS + 2)
    bulk.undo(change, by=None)
    drain(slice_seconds=0)
    assert rows(dataset) == before


def test_agents_with_other_instructions_stay_apart(workspace: Any, tmp_path: Path, small_slices: None) -> None:
    dataset = make_dataset(workspace)
    lines = [turn(1, n) for n in range(4)]
    for line in lines[1:3]:
        line["input"]["messages"][0] = {"role": "system", "content": f"You are agent {line['span_id']}."}
    import_file(dataset, write_lines(tmp_path / "t.jsonl", *lines))
    change = join(dataset)
    assert (change.count, change.new) == (2, 1)
    assert previews(dataset) == ["Question 1 about order 1?", "Question 2 about order 1?", "Question 3 about order 1?"]


def test_only_what_is_selected_is_joined(dataset: Dataset) -> None:
    keys = list(dataset.records.filter(session_id="session 2").order_by("pk").values_list("pk", flat=True))
    plan = bulk.plan(dataset, "join", bulk.Selection(ids=keys[:2]), {})
    bulk.begin(dataset, plan, by=None)
    drain()
    change = Change.objects.get()
    assert (change.count, change.new, dataset.records.filter(session_id="session 2").count()) == (2, 1, 2)


def test_a_name_that_very_many_records_share_is_no_session(dataset: Dataset, monkeypatch: Any) -> None:
    monkeypatch.setattr(joining, "MOST", 2)
    assert joining.sessions(dataset.records.all()) == []
    monkeypatch.setattr(joining, "MOST", 3)
    assert [len(keys) for keys in joining.sessions(dataset.records.all())] == [TURNS] * SESSIONS


def test_a_conversation_that_somebody_worked_on_stays_when_its_parts_come_back(dataset: Dataset, owner: Any) -> None:
    Dataset.objects.filter(pk=dataset.pk).update(topic_hierarchy={"version": 1, "topics": {"billing": {}}})
    dataset.refresh_from_db()
    change = join(dataset)
    made = list(dataset.records.filter(session_id__startswith="session ").exclude(session_id="session 9"))
    editing.set_topic(made[0], "billing", by=owner)
    undone = editing.set_topic(made[1], "billing", by=owner)
    assert undone is not None
    changes.undo(undone, by=owner)
    assert changes.undo(change, by=owner) == changes.Undone(SESSIONS * TURNS, 1)
    assert list(dataset.records.filter(pk__in=[m.pk for m in made])) == [made[0]]
    assert dataset.records.count() == SESSIONS * TURNS + 2 + 1


def test_a_conversation_that_was_deleted_since_is_no_obstacle(dataset: Dataset) -> None:
    before = rows(dataset)
    change = join(dataset)
    made = dataset.records.get(session_id="session 0")
    bulk.begin(dataset, bulk.plan(dataset, "delete", bulk.Selection(ids=[made.pk]), {}), by=None)
    assert changes.undo(change, by=None) == changes.Undone(SESSIONS * TURNS, 0)
    assert rows(dataset) == before


def test_counts_words_and_findings_follow_at_every_step(dataset: Dataset) -> None:
    for number, pk in enumerate(dataset.records.filter(session_id="session 3").values_list("pk", flat=True)):
        body = RawRecord.objects.get(pk=pk).body.replace("about order", f"of ann{number}@example.com about order")
        RawRecord.objects.filter(pk=pk).update(body=body)
    actions.start(dataset, actions.SCAN, {}, by=None)
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()

    def state() -> tuple[Any, ...]:
        found = FoundValue.objects.filter(dataset=dataset).order_by("number")
        words = RecordText.objects.filter(dataset=dataset, stale=False).count()
        everywhere = len(newest(dataset, "question", 100))
        held = [(value.number, value.records) for value in found]
        return held, words, everywhere, privacy.left_to_scan(dataset), dataset.vault.counts.kinds["email"].records

    before = state()
    assert as_kept() == sorted(counted_anew())
    change = join(dataset)
    dataset.vault.refresh_from_db()
    assert state() == ([(1, 1), (2, 1), (3, 1)], SESSIONS + 2, SESSIONS + 2, 0, 1)
    assert as_kept() == sorted(counted_anew())
    assert dataset.records.filter(checked_by="").count() == 0  # checked again with all others
    undo(change)
    dataset.vault.refresh_from_db()
    assert state() == before
    assert as_kept() == sorted(counted_anew())


def test_a_log_that_grew_brings_only_its_new_lines(dataset: Dataset, tmp_path: Path) -> None:
    change = join(dataset)
    log = write_lines(
        tmp_path / "log.jsonl",
        *(turn(session, number) for number in range(TURNS) for session in range(SESSIONS)),
        turn(0, TURNS),
    )
    batch = import_file(dataset, log)
    assert (batch.imported, batch.already_present) == (1, SESSIONS * TURNS)
    again = join(dataset)
    assert (again.count, again.new) == (2, 1)
    whole = dataset.records.get(session_id="session 0").trace
    said = [m["content"] for m in whole.messages + whole.output_messages]
    assert said[1::2] == [f"Question {number} about order 0?" for number in range(TURNS + 1)]
    assert whole.metadata["joined"] == TURNS + 1
    spans = [origin["span_id"] for origin in whole.metadata["joined_from"]]
    assert spans == [f"span-0-{number}" for number in range(TURNS + 1)]
    assert import_file(dataset, log).imported == 0
    undo(again)
    undo(change)
    assert JoinedPart.objects.count() == 0
    assert dataset.records.filter(session_id="session 0").count() == TURNS + 1
    join(dataset)
    made = dataset.records.get(session_id="session 1")
    bulk.begin(dataset, bulk.plan(dataset, "delete", bulk.Selection(ids=[made.pk]), {}), by=None)
    assert import_file(dataset, log).imported == TURNS  # what was deleted on purpose may come back


def test_what_a_change_made_is_forgotten_with_it(dataset: Dataset) -> None:
    change = join(dataset)
    Change.objects.filter(pk=change.pk).update(created_at=change.created_at - changes.KEPT * 2)
    changes.forget_old(dataset)
    assert (Change.objects.count(), MadeRecord.objects.count()) == (0, 0)
    assert dataset.records.count() == SESSIONS + 2


# --- where people meet it --------------------------------------------------------------------------------------------


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("\u00a0", " ").replace("&nbsp;", " ")


def test_an_import_offers_to_join_as_long_as_there_is_something_to_join(dataset: Dataset, client: Client) -> None:
    batch = ImportBatch.objects.get()
    assert batch.spread == SESSIONS
    page, home = f"/datasets/{dataset.pk}/import/{batch.pk}/", f"/datasets/{dataset.pk}/"
    said = "4 conversations are logged as several records each."
    html = client.get(page).content.decode()
    assert said in text_of(html) and said in text_of(client.get(home).content.decode())
    url = re.search(r'href="([^"]*action=join[^"]*)"', html)[1].replace("&amp;", "&")
    assert client.get(url).status_code == 200
    change = join(dataset)
    assert said not in text_of(client.get(page).content.decode())
    assert said not in text_of(client.get(home).content.decode())
    undo(change)
    assert said in text_of(client.get(page).content.decode())


def test_the_preview_says_what_would_become_of_them_and_the_page_does_it(dataset: Dataset, client: Client) -> None:
    page = f"/datasets/{dataset.pk}/records/change/"
    html = client.get(page, {"action": "join", "all": "1"}).content.decode()
    text = text_of(html)
    assert "4 sessions are logged as 12 records. 12 records would become 4." in text
    first = dataset.records.filter(session_id="session 0").earliest("pk").pk
    assert "Each conversation becomes one new record that names its parts" in text
    assert f"Record {first} and 2 more: 3 records → one conversation of 7 turns" in text
    client.post(page, {"action": "join", "all": "1"})
    drain()
    assert dataset.records.count() == SESSIONS + 2
    made = dataset.records.get(session_id="session 0")
    drawer = text_of(client.get(f"/datasets/{dataset.pk}/records/{made.pk}/").content.decode())
    assert f"record {first}, log.jsonl line 1, span span-0-0" in drawer
    assert "Joined sessions that were logged as several records by owner" in drawer


def test_a_preview_of_nothing_says_so(dataset: Dataset, client: Client) -> None:
    join(dataset)
    html = client.get(f"/datasets/{dataset.pk}/records/change/", {"action": "join", "all": "1"}).content.decode()
    assert "Each session here is one record already." in text_of(html)
    assert 'form="plan"' not in html
