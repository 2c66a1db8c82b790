"""The page of findings: masked, by kind, with every button doing what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape

from datasets_app import actions
from datasets_app.models import Dataset, FoundValue, Vault
from rft_project.connections.models import AuditEntry
from rft_project.jobs.models import Job
from tests.datasets_app.pii.test_dataset import KEY, LINES, user_text
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db


@pytest.fixture
def dataset(workspace: Any, tmp_path: Path) -> Dataset:
    made = make_dataset(workspace)
    import_file(made, write_lines(tmp_path / "t.jsonl", *LINES))
    return made


@pytest.fixture
def client(owner: Any, client_of: Any) -> Client:
    return client_of(owner)


@pytest.fixture
def scanned(dataset: Dataset) -> Dataset:
    actions.start(dataset, actions.SCAN, {}, by=None)
    drain()
    return dataset


def page(client: Client, dataset: Dataset, query: str = "") -> str:
    response = client.get(f"/datasets/{dataset.pk}/privacy/{query}")
    assert response.status_code == 200
    return response.content.decode().replace("\xa0", " ")


def post(client: Client, dataset: Dataset, path: str, **data: Any) -> str:
    """The page one lands on, with its message."""
    response = client.post(f"/datasets/{dataset.pk}/{path}/", data, follow=True)
    assert response.status_code == 200
    return response.content.decode().replace("\xa0", " ")


def test_before_a_scan_the_page_offers_one(client: Client, dataset: Dataset) -> None:
    assert "Look through them" in page(client, dataset)
    post(client, dataset, "run/scan")
    assert Job.objects.get(kind="scan_pii").is_live
    assert "Wait until it is through" in page(client, dataset)
    drain()
    text = page(client, dataset)
    assert "1 record with secrets and 2 with personal data" in text
    assert "Review OpenAI keys" in text


def test_values_are_masked_on_every_kinds_page(client: Client, scanned: Dataset) -> None:
    for kind in ("email", "phone", "openai_key"):
        text = page(client, scanned, f"?kind={kind}")
        for value in ("joe@shop", "Joe@Shop", "ann@shop", "2345678", KEY):
            assert escape(value) not in text
            assert value.lower() not in text.lower()
    text = page(client, scanned, "?kind=email")
    assert "J•••@s•••.example" in text
    assert escape("<EMAIL_2>") in text


@pytest.mark.parametrize(
    "query", ["?kind=nothing", "?kind=email&after=x", "?kind=email&after=99999999999999", "?kind=url"]
)
def test_addresses_that_mean_nothing_still_open(client: Client, scanned: Dataset, query: str) -> None:
    page(client, scanned, query)


def test_redacting_ticked_values_then_all_then_undo(client: Client, scanned: Dataset) -> None:
    _, ann = FoundValue.objects.filter(kind="email").order_by("number")
    assert "Tick at least one value first." in post(client, scanned, "run/redact", kind="email", some="on")
    text = post(client, scanned, "run/redact", kind="email", some="on", values=[ann.pk])
    assert "Redacted 1 of the e-mail addresses in 1 record." in text
    assert user_text(scanned, 1) == "It is joe@shop.example, or <EMAIL_2>, or +49 151 2345678."
    text = post(client, scanned, "run/redact", kind="email")
    assert "Redacted e-mail addresses in 2 records." in text
    assert user_text(scanned, 1) == "It is <EMAIL_1>, or <EMAIL_2>, or +49 151 2345678."
    drain()
    assert "There was nothing left to redact." in post(client, scanned, "run/redact", kind="email")
    change = scanned.changes.order_by("pk").last()
    assert change is not None
    assert "2 records are as before." in post(client, scanned, f"changes/{change.pk}/undo", findings="1")
    assert user_text(scanned, 1) == "It is joe@shop.example, or <EMAIL_2>, or +49 151 2345678."


def test_false_alarms_by_value_and_by_kind(client: Client, scanned: Dataset) -> None:
    joe = FoundValue.objects.get(kind="email", number=1)
    text = post(client, scanned, "false_alarms", kind="email", some="on", values=[joe.pk])
    assert "1 value kept as false alarms." in text
    assert "1 false alarm</summary>" in text
    assert "0 values kept" in post(client, scanned, "false_alarms", kind="phone", values=[joe.pk])
    text = post(client, scanned, "false_alarms", kind="email", some="on", again="on", values=[joe.pk])
    assert "1 value to review again." in text
    text = post(client, scanned, "false_alarms", kind="phone")
    assert "Phone numbers are a false alarm here" in text
    assert "Report phone numbers again" in text
    assert "Phone numbers are reported again." in post(client, scanned, "false_alarms", kind="phone", again="on")
    assert Vault.objects.get().ignored == []
    assert AuditEntry.objects.filter(action="false alarm").count() == 5


def test_what_no_form_offers_is_a_sentence(client: Client, scanned: Dataset) -> None:
    for path in ("run/redact", "false_alarms"):
        assert "Choose one of the kinds on this page." in post(client, scanned, path, kind="nothing")
    assert "Choose one of the kinds on this page." in post(client, scanned, "run/redact")


def test_readiness_names_what_is_left(client: Client, scanned: Dataset) -> None:
    text = client.get(f"/datasets/{scanned.pk}/").content.decode()
    assert "1 record with passwords, keys or tokens, 2 with personal data: review or redact them." in text
    assert f"/datasets/{scanned.pk}/privacy/" in text


def test_the_page_costs_the_same_for_many_values(
    client: Client, scanned: Dataset, tmp_path: Path, django_assert_num_queries: Any
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    page(client, scanned, "?kind=email")
    with CaptureQueriesContext(connection) as one:
        page(client, scanned, "?kind=email")
    more = [record(f"Write to person{n}@many.example about order number {n}.") for n in range(30)]
    import_file(scanned, write_lines(tmp_path / "more.jsonl", *more))
    actions.start(scanned, actions.SCAN, {}, by=None)
    drain()
    with django_assert_num_queries(len(one)):
        text = page(client, scanned, "?kind=email")
    assert "20 of 32 values shown" in text
    assert "after=20#values" in text
    assert "12 of 32 values shown" in page(client, scanned, "?kind=email&after=20")


def test_what_stands_around_a_value_is_text(client: Client, dataset: Dataset, tmp_path: Path) -> None:
    hostile = "<script>boom()</script> {{7*7}} ann@x.example <img src=x onerror=boom()>"
    import_file(dataset, write_lines(tmp_path / "h.jsonl", record(hostile)))
    actions.start(dataset, actions.SCAN, {}, by=None)
    drain()
    text = page(client, dataset, "?kind=email")
    assert "&lt;script&gt;boom()&lt;/script&gt; {{7*7}} " in text
    assert "<script>boom" not in text
    assert "<img src=x" not in text


def test_records_can_be_filtered_by_what_they_hold(client: Client, scanned: Dataset) -> None:
    """Only kinds that are there are offered, and the number is that of the records that hold one."""
    page = f"/datasets/{scanned.pk}/records/"
    offered = re.search(
        r'<select class="input" id="f-pii" name="pii">(.*?)</select>', client.get(page).content.decode()
    )
    assert offered is not None
    assert re.findall(r'value="(\w+)">([^<]+)<', offered[1]) == [
        ("openai_key", "OpenAI keys"),
        ("email", "E-mail addresses"),
        ("phone", "Phone numbers"),
    ]
    html = client.get(f"{page}?pii=email").content.decode()
    assert '<option value="email" selected>E-mail addresses</option>' in html
    assert "<b>2</b> match these filters" in html
    assert html.count('<tr><td class="pick">') == 2


def test_a_dataset_that_holds_nothing_offers_no_such_filter(client: Client, dataset: Dataset) -> None:
    assert "f-pii" not in client.get(f"/datasets/{dataset.pk}/records/").content.decode()
