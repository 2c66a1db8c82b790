"""Nothing that nobody has decided about is sent on: what is asked, of whom, and what is remembered of the answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from datasets_app import actions, bulk, consent, privacy, snapshots
from datasets_app.consent import Question, Unasked
from datasets_app.core.pii import scanning
from datasets_app.helper import helper_of
from datasets_app.models import (
    Change,
    Consent,
    Dataset,
    FoundValue,
    FrozenFinding,
    RawRecord,
    Snapshot,
    SnapshotItem,
    Vault,
)
from rft_project.connections.models import AuditEntry, Connection
from rft_project.connections.sealing import new_key
from rft_project.connections.services import local_connection
from tests.datasets_app.pii.examples import _KEYS
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db
KEY = _KEYS["openai_key"][0]
LINES = [
    record("Please write to joe@shop.example about my parcel."),
    record("It is joe@shop.example, or ann@shop.example, see https://shop.example/orders."),
    record(f"My code fails: client = Client(api_key='{KEY}')"),
    record("Where is the parcel that I ordered on Monday?"),
]


@pytest.fixture
def dataset(workspace: Any, tmp_path: Path) -> Dataset:
    """Imported, checked and looked through."""
    made = make_dataset(workspace)
    import_file(made, write_lines(tmp_path / "t.jsonl", *LINES))
    actions.start(made, actions.SANITIZE, {}, by=None)
    drain()
    return made


@pytest.fixture
def outside(workspace: Any, settings: Any) -> Connection:
    """A connection with an address of its own, which has a helper model."""
    settings.ALLOWED_PRIVATE_ENDPOINTS = ["127.0.0.1:9"]
    made = Connection(workspace=workspace, kind="local", name="Azure", helper_model="helper")
    made.set_credentials({"base_url": "http://127.0.0.1:9/v1"})
    made.save()
    return made


def freeze(dataset: Dataset) -> Snapshot:
    return snapshots.freeze(dataset, by=None)


def asked(question: Question | None) -> Question:
    assert question is not None
    return question


def add(dataset: Dataset, tmp_path: Path, *lines: Any) -> None:
    import_file(dataset, write_lines(tmp_path / "more.jsonl", *lines))
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()


# --- the question ----------------------------------------------------------------------------------------------------


def test_what_a_snapshot_would_send_is_asked_with_its_counts(dataset: Dataset, outside: Connection) -> None:
    question = asked(consent.about_snapshot(freeze(dataset), outside))
    assert question.sentence == "1 OpenAI key and 2 e-mail addresses in 3 records would be sent to Azure."
    assert question.lines == [("OpenAI keys", 1), ("E-mail addresses", 2)]
    assert question.outdated is False


def test_nothing_is_asked_about_the_engine_of_this_server(dataset: Dataset, workspace: Any) -> None:
    assert consent.about_snapshot(freeze(dataset), local_connection(workspace)) is None
    assert FrozenFinding.objects.count() == 0


def test_many_kinds_are_summed_up(dataset: Dataset, outside: Connection) -> None:
    kinds = {"password": 2, "email": 1200, "phone": 3, "card": 1, "iban": 4}
    assert Question(dataset, outside, kinds=kinds, records=1300).counts == (
        "2 passwords, 1,200 e-mail addresses, 3 phone numbers and 5 more of 2 other kinds in 1,300 records"
    )
    assert Question(dataset, outside, kinds={"email": 1}, records=1).counts == "1 e-mail address in 1 record"


def test_only_what_is_sent_counts(workspace: Any, outside: Connection, tmp_path: Path) -> None:
    """The logged answer and the metadata stay here; the reference, item fields and tools go along."""
    made = make_dataset(workspace, "Parts")
    stays = record("Where is my parcel now?", metadata={"mail": "meta@shop.example"})
    stays["output"] = {"messages": [{"role": "assistant", "content": "Ask out@shop.example."}]}
    goes = record("Who is in charge of it?", reference="ref@shop.example", fields={"owner": "field@shop.example"})
    goes["input"]["tools"] = [
        {
            "type": "function",
            "function": {"name": "mail", "description": "Writes to tool@shop.example", "parameters": {}},
        }
    ]
    add(made, tmp_path, stays, goes)
    question = asked(consent.about_snapshot(freeze(made), outside))
    assert (question.kinds, question.records) == ({"email": 3}, 1)


def test_web_addresses_and_false_alarms_are_not_asked_about(dataset: Dataset, outside: Connection) -> None:
    snapshot = freeze(dataset)
    asked(consent.about_snapshot(snapshot, outside))
    with transaction.atomic():
        privacy.decide(
            dataset,
            "openai_key",
            list(FoundValue.objects.filter(kind="openai_key").values_list("pk", flat=True)),
            True,
            by=None,
        )
        privacy.decide(dataset, "email", [], True, by=None)
    assert consent.about_snapshot(snapshot, outside) is None
    assert consent.about_helper(dataset) is None


def test_a_snapshot_holds_what_was_redacted_since_and_the_question_says_so(
    dataset: Dataset, outside: Connection
) -> None:
    snapshot = freeze(dataset)
    bulk.redact(dataset, "email", [], by=None)
    assert asked(consent.about_snapshot(snapshot, outside)).outdated is False  # the key is still there
    bulk.redact(dataset, "openai_key", [], by=None)
    question = asked(consent.about_snapshot(snapshot, outside))
    assert (question.kinds, question.outdated) == ({"openai_key": 1, "email": 2}, True)
    assert consent.about_snapshot(freeze(dataset), outside) is None


@pytest.mark.parametrize("known", [True, False])
def test_it_does_not_matter_what_was_known_of_the_records(dataset: Dataset, outside: Connection, known: bool) -> None:
    """Records that hold nothing are not read again, unless they differ from what is frozen."""
    snapshot = freeze(dataset)
    clean = dataset.records.order_by("pk").last()
    SnapshotItem.objects.filter(record_id=clean.pk).update(
        body=RawRecord.objects.get(pk=clean.pk).body.replace("Monday", "bob@shop.example")
    )
    if not known:
        Vault.objects.update(scanned_to=0, rules="")
    question = asked(consent.about_snapshot(snapshot, outside))
    assert (question.kinds, question.records) == ({"openai_key": 1, "email": 3}, 4)


def test_new_rules_look_through_the_snapshot_again(dataset: Dataset, outside: Connection, monkeypatch: Any) -> None:
    snapshot = freeze(dataset)
    asked(consent.about_snapshot(snapshot, outside))
    FrozenFinding.objects.all().delete()
    assert consent.about_snapshot(snapshot, outside) is None  # it is looked through once
    monkeypatch.setattr(privacy, "VERSION", scanning.VERSION + 1)
    assert asked(consent.about_snapshot(snapshot, outside)).records == 3


def test_without_the_key_nobody_can_agree(dataset: Dataset, outside: Connection, settings: Any) -> None:
    snapshot = freeze(dataset)
    settings.FIELD_ENCRYPTION_KEYS = [new_key()]
    question = asked(consent.about_snapshot(snapshot, outside))
    assert question.sentence.startswith("The placeholders of this dataset were made with an encryption key")
    with pytest.raises(Unasked):
        consent.ask_first(question, agreed=question.mark, by=None)


# --- the answer ------------------------------------------------------------------------------------------------------


def test_an_answer_is_remembered_for_that_snapshot_and_connection_and_audited(
    dataset: Dataset, outside: Connection, workspace: Any, owner: Any
) -> None:
    snapshot = freeze(dataset)
    question = asked(consent.about_snapshot(snapshot, outside))
    consent.ask_first(question, agreed=question.mark, by=owner)
    assert consent.about_snapshot(snapshot, outside) is None
    entry = AuditEntry.objects.get(action="send findings")
    assert (entry.actor, entry.workspace) == (owner, workspace)
    assert entry.detail == "1 OpenAI key and 2 e-mail addresses in 3 records to Azure"

    other = Connection(workspace=workspace, kind="local", name="Elsewhere")
    other.set_credentials({"base_url": "http://127.0.0.1:10/v1"})
    other.save()
    assert consent.about_snapshot(snapshot, other) is not None
    assert consent.about_snapshot(freeze(dataset), outside) is not None
    assert consent.about_helper(dataset) is not None


def test_only_the_question_that_was_seen_is_answered(dataset: Dataset, outside: Connection) -> None:
    snapshot = freeze(dataset)
    with pytest.raises(Unasked, match="would be sent to Azure"):
        consent.ask_first(consent.about_snapshot(snapshot, outside), by=None)
    seen = asked(consent.about_snapshot(snapshot, outside)).mark
    with transaction.atomic():
        privacy.decide(dataset, "openai_key", [], True, by=None)
    with pytest.raises(Unasked):
        consent.ask_first(consent.about_snapshot(snapshot, outside), agreed=seen, by=None)
    assert Consent.objects.count() == AuditEntry.objects.filter(action="send findings").count() == 0


def test_a_false_alarm_that_is_none_is_asked_about_again(dataset: Dataset, outside: Connection) -> None:
    snapshot = freeze(dataset)
    with transaction.atomic():
        privacy.decide(dataset, "openai_key", [], True, by=None)
    consent.agree(asked(consent.about_snapshot(snapshot, outside)), by=None)
    assert consent.about_snapshot(snapshot, outside) is None
    with transaction.atomic():
        privacy.decide(dataset, "openai_key", [], False, by=None)
    assert asked(consent.about_snapshot(snapshot, outside)).kinds == {"openai_key": 1, "email": 2}


def test_another_address_behind_the_connection_is_asked_about_again(dataset: Dataset, outside: Connection) -> None:
    snapshot = freeze(dataset)
    consent.agree(asked(consent.about_snapshot(snapshot, outside)), by=None)
    outside.set_credentials({"base_url": "http://127.0.0.1:10/v1"})
    outside.save()
    assert consent.about_snapshot(snapshot, outside) is not None


# --- the helper model ------------------------------------------------------------------------------------------------


def test_the_helper_is_asked_once_somebody_agreed_until_something_new_is_found(
    dataset: Dataset, outside: Connection, owner: Any, tmp_path: Path
) -> None:
    complaints: list[str] = []
    assert helper_of(dataset, complaints.append) is None
    assert complaints == [
        "The helper model was not asked: 1 OpenAI key and 2 e-mail addresses in 3 records could be shown to the helper "
        "model of Azure."
    ]
    consent.agree(asked(consent.about_helper(dataset)), by=owner)
    assert helper_of(dataset, complaints.append) is not None
    add(dataset, tmp_path, record("Again joe@shop.example asks for his parcel."))
    assert helper_of(dataset, complaints.append) is not None  # that value may be sent
    add(dataset, tmp_path, record("Now bob@shop.example asks for it."))
    assert helper_of(dataset, complaints.append) is None
    assert asked(consent.about_helper(dataset)).kinds == {"openai_key": 1, "email": 3}


def test_the_helper_waits_until_the_records_are_looked_through(
    workspace: Any, outside: Connection, tmp_path: Path
) -> None:
    made = make_dataset(workspace, "New")
    assert consent.about_helper(made) is None
    add(made, tmp_path, record("Where is my parcel now?"))
    assert consent.about_helper(made) is None
    Vault.objects.all().delete()
    question = asked(consent.about_helper(made))
    assert question.sentence == (
        "Nobody has looked through the records for personal data yet; the helper model of Azure is asked after that."
    )
    with pytest.raises(Unasked):
        consent.ask_first(question, agreed=question.mark, by=None)


def test_a_helper_on_this_machine_is_never_asked_about(dataset: Dataset, workspace: Any) -> None:
    own = local_connection(workspace)
    own.helper_model = "helper"
    own.save(update_fields=["helper_model"])
    assert consent.about_helper(dataset) is None


@pytest.mark.parametrize("who", ["owner", "colleague"])
def test_the_page_of_topics_says_that_the_helper_is_not_asked_and_has_the_button(
    request: Any, dataset: Dataset, outside: Connection, client_of: Any, who: str
) -> None:
    person = request.getfixturevalue(who)
    client, page, command = (
        client_of(person),
        f"/datasets/{dataset.pk}/topics/",
        f"/datasets/{dataset.pk}/helper_consent/",
    )
    html = client.get(page).content.decode()
    assert "The helper model is not asked" in html
    assert f'<input type="hidden" name="agreed" value="{asked(consent.about_helper(dataset)).mark}">' in html
    client.post(command, {"agreed": "another"})
    assert "The findings changed meanwhile." in client.get(page).content.decode()
    assert Consent.objects.count() == 0
    client.post(command, {"agreed": asked(consent.about_helper(dataset)).mark})
    html = client.get(page).content.decode()
    assert "The helper model may see them" in html
    assert "The helper model is not asked" not in html
    assert Consent.objects.get().by == person


def test_a_stranger_agrees_to_nothing(dataset: Dataset, outside: Connection, stranger: Any, client_of: Any) -> None:
    mark = asked(consent.about_helper(dataset)).mark
    assert client_of(stranger).post(f"/datasets/{dataset.pk}/helper_consent/", {"agreed": mark}).status_code == 404
    assert Consent.objects.count() == 0


def test_counts_from_before_they_had_a_mark_are_made_anew(dataset: Dataset, outside: Connection) -> None:
    vault = Vault.objects.get()
    Vault.objects.update(summary={k: v for k, v in vault.summary.items() if k not in ("mark", "undecided")})
    question = asked(consent.about_helper(dataset))
    assert (question.records, question.mark) == (3, vault.counts.mark)
    with pytest.raises(Unasked):
        consent.ask_first(replace(question, mark=""), agreed="", by=None)


def test_less_than_was_agreed_to_is_no_question(dataset: Dataset, outside: Connection) -> None:
    """One value goes by redaction and comes back by its undo; what was never agreed to stays out."""
    bulk.redact(dataset, "openai_key", [], by=None)
    hidden = Change.objects.get()
    consent.agree(asked(consent.about_helper(dataset)), by=None)
    ann = FoundValue.objects.get(kind="email", number=2)
    bulk.redact(dataset, "email", [ann.pk], by=None)
    assert consent.about_helper(dataset) is None
    assert Consent.objects.get().mark == Vault.objects.get().counts.mark
    bulk.undo(Change.objects.exclude(pk=hidden.pk).get(), by=None)
    drain()
    assert consent.about_helper(dataset) is None
    bulk.undo(hidden, by=None)
    drain()
    assert asked(consent.about_helper(dataset)).kinds == {"openai_key": 1, "email": 2}


def test_what_changed_since_it_was_asked_is_not_agreed_to(dataset: Dataset, outside: Connection) -> None:
    question = asked(consent.about_helper(dataset))
    bulk.redact(dataset, "openai_key", [], by=None)
    with pytest.raises(Unasked):
        consent.agree(question, by=None)


def test_another_helper_than_the_workspaces_first_is_asked_about_by_itself(
    dataset: Dataset, outside: Connection, workspace: Any
) -> None:
    own = local_connection(workspace)
    consent.agree(asked(consent.about_helper(dataset)), by=None)
    other = Connection(workspace=workspace, kind="local", name="Elsewhere", helper_model="helper")
    other.set_credentials({"base_url": "http://127.0.0.1:10/v1"})
    other.save()
    assert (consent.about_helper(dataset, outside), consent.about_helper(dataset, own)) == (None, None)
    assert asked(consent.about_helper(dataset, other)).sentence.endswith("helper model of Elsewhere.")
