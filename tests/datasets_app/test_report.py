"""The sanitize report: every number leads to its records, every run is kept and compared with the one before."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from datasets_app import actions
from datasets_app.forms import SanitizeForm
from datasets_app.models import Dataset
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db

QUESTION = "Where is the parcel I ordered last week?"
SHORT = record("Why?", tier="gold")
ROBOT = {"input": {"messages": [{"role": "robot", "content": "Hm."}, {"role": "user", "content": "No"}]}}


@pytest.fixture
def client(owner: Any, client_of: Any) -> Client:
    return client_of(owner)


@pytest.fixture
def dataset(workspace: Any, tmp_path: Path) -> Dataset:
    dataset = make_dataset(workspace)
    import_file(dataset, write_lines(tmp_path / "t", record(QUESTION, tier="gold"), SHORT, ROBOT))
    return dataset


def sanitize(dataset: Dataset, client: Client, **limits: Any) -> Any:
    given = {**SanitizeForm.of(dataset.sanitizing).initial, **limits}
    answer = client.post(f"/datasets/{dataset.pk}/run/sanitize/", {k: v for k, v in given.items() if v is not False})
    drain()
    dataset.refresh_from_db()
    return answer


def page(dataset: Dataset) -> str:
    return f"/datasets/{dataset.pk}/report/"


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def row(html: str, head: str) -> list[str]:
    """Cells of the table row that begins with ``head``."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", html, re.S)
    found = next(r for r in rows if words(r).startswith(head))
    return [words(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", found, re.S)]


def test_limits_are_saved_here_and_the_page_stays(dataset, client):
    answer = sanitize(dataset, client, min_user_message_length=3, near_threshold="0.7")
    assert answer["Location"] == page(dataset)
    assert (dataset.sanitizing.min_user_message_length, dataset.sanitizing.near_duplicates) == (3, 0.7)
    sanitize(dataset, client, near_duplicates=False, near_threshold="0.7")
    assert dataset.sanitizing.near_duplicates is None


def test_limits_that_cannot_be_are_said_beside_their_field_and_nothing_runs(dataset, client):
    answer = sanitize(dataset, client, max_tokens="many", near_threshold="0.2")
    html = answer.content.decode()
    assert answer.status_code == 422
    assert "Enter a whole number." in html and "greater than or equal to 0.5" in html
    assert 'value="many"' in html
    assert dataset.sanitize_config == {} and not dataset.action_runs.exists()


def test_every_code_of_a_record_is_counted_and_leads_to_its_records(dataset, client):
    sanitize(dataset, client)
    html = client.get(page(dataset)).content.decode()
    assert row(html, "Role not allowed")[2:] == ["1", "1"]
    assert row(html, "User message too short")[2:] == ["1", "2"]  # the robot's answer is short, too
    link = re.search(r'href="([^"]*)">User message too short', html)[1].replace("&amp;", "&")
    listed = client.get(link.partition("#")[0]).content.decode()
    assert "Why?" in listed and QUESTION not in listed


def test_runs_are_kept_and_compared_with_the_one_before(dataset, client, owner, tmp_path):
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()
    first = dataset.action_runs.get()
    assert "than last time" not in client.get(page(dataset)).content.decode()
    import_file(dataset, write_lines(tmp_path / "more", record("Please cancel my second order.", tier="gold")))
    sanitize(dataset, client, min_user_message_length=3)
    html = client.get(page(dataset)).content.decode()
    assert "2 more are valid than last time; 1 record came in since." in words(html)
    assert row(html, "User message too short")[2:] == ["0", "1", "−1"]
    history = html.partition('id="history"')[2]
    heads = re.findall(r'\?run=(\d+)">just now', history)
    assert [int(pk) for pk in heads] == [dataset.action_runs.first().pk, first.pk]
    assert row(history, "just now")[1:] == ["owner", "4", "3", "25 %", "+2"]
    past = client.get(f"{page(dataset)}?run={first.pk}").content.decode()
    assert "This is a report of the past." in past and "2 of 3 records are set aside" in words(past)
    assert "a command" in past
    report = client.get(f"/datasets/{dataset.pk}/report.json?run={first.pk}").json()
    assert (report["total"], report["valid"]) == (3, 1)


def test_downloads_hold_what_the_page_says(dataset, client):
    sanitize(dataset, client)
    report = json.loads(client.get(f"/datasets/{dataset.pk}/report.json").content)
    assert report["errors_by_type"] == {"invalid_role": 1, "user_message_too_short": 1}
    assert report["records_with"] == {"invalid_role": 1, "user_message_too_short": 2}
    rows = dict(csv.reader(io.StringIO(client.get(f"/datasets/{dataset.pk}/report.csv").content.decode())))
    assert (rows["records_with.user_message_too_short"], rows["valid"]) == ("2", "1")


@pytest.mark.parametrize("query", ["run=0", "run=x", "run=99999999999999999999", "before=x", "before=1"])
def test_an_address_that_names_nothing_shows_the_latest(dataset, client, query):
    sanitize(dataset, client)
    assert "Last checked" in client.get(f"{page(dataset)}?{query}").content.decode()


def test_a_run_of_another_dataset_is_not_shown(dataset, client, workspace, tmp_path):
    sanitize(dataset, client)
    other = make_dataset(workspace, "Other")
    import_file(other, write_lines(tmp_path / "o", record(QUESTION)))
    sanitize(other, client)
    theirs = other.action_runs.get().pk
    assert "This is a report of the past." not in client.get(f"{page(dataset)}?run={theirs}").content.decode()
    assert client.get(f"/datasets/{dataset.pk}/report.json?run={theirs}").json()["total"] == 3


def test_what_a_grader_could_require_is_suggested_from_the_records(dataset, client):
    assert "Found in your records: reference_answer (2 of 3), tier (2 of 3)." in words(
        client.get(page(dataset)).content.decode()
    )


def test_a_run_is_shown_while_it_lasts(dataset, client):
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    html = client.get(page(dataset)).content.decode()
    assert "Waiting for a free worker" in html
    drain()
    region = f"/datasets/{dataset.pk}/regions/sanitize_work/"
    assert client.get(f"{region}?seen=1", headers={"HX-Request": "true"})["HX-Refresh"] == "true"


def test_recommendations_lead_to_the_records_they_are_about(workspace, client, tmp_path):
    dataset = make_dataset(workspace)
    ended = {"input": {"messages": [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "Here."}]}}
    kept = {**ended, "output": {"messages": []}}  # says itself what is input, so it is not split
    import_file(dataset, write_lines(tmp_path / "t", kept, record(QUESTION)))
    sanitize(dataset, client)
    html = client.get(page(dataset)).content.decode()
    box = html[html.index("do not end with the user") :]
    assert re.search(r'href="[^"]*code=last_not_user[^"]*">Show them', box)
