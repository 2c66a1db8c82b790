"""What a person can do next: after a failure, with invalid records, with what a grader needs; and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as product
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client

from datasets_app import actions, bulk, services
from datasets_app.core.repairs import REPAIRS
from datasets_app.forms import SanitizeForm
from datasets_app.helper import helper_of
from datasets_app.models import Dataset, ImportBatch
from rft_project.connections.models import Connection
from rft_project.jobs.models import Job
from rft_project.jobs.services import request_cancel
from tests.factories import import_file, make_dataset, plan_of, record, small_dataset, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db
QUESTION = "Where is the parcel I ordered last week?"


@pytest.fixture
def client(owner: Any, client_of: Any) -> Client:
    return client_of(owner)


def filled(dataset: Dataset, path: Path, *lines: Any) -> Dataset:
    import_file(dataset, write_lines(path, *lines))
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()
    return dataset


def test_required_fields_are_set_on_the_page_and_honoured(workspace: Any, client: Client, tmp_path: Path) -> None:
    dataset = filled(make_dataset(workspace), tmp_path / "t", record(QUESTION), record("And the second one?", tier="a"))
    html = client.get(f"/datasets/{dataset.pk}/report/").content.decode()
    assert 'name="required_fields"' in html
    given = {**SanitizeForm.of(dataset.sanitizing).initial, "required_fields": "tier, reference_answer"}
    client.post(f"/datasets/{dataset.pk}/run/sanitize/", given)
    drain()
    dataset.refresh_from_db()
    assert dataset.sanitizing.required_fields == ("tier", "reference_answer")
    assert list(dataset.records.order_by("pk").values_list("verdict", "code")) == [
        ("invalid", "missing_field"),
        ("valid", ""),
    ]


def test_the_report_leads_to_the_invalid_records_and_says_when_it_ran(
    workspace: Any, client: Client, tmp_path: Path
) -> None:
    dataset = filled(make_dataset(workspace), tmp_path / "t", record(QUESTION), record("no"))
    html = client.get(f"/datasets/{dataset.pk}/report/").content.decode()
    assert f'<a href="/datasets/{dataset.pk}/records/?verdict=invalid">View invalid records</a>' in html
    assert "Last checked" in html


def test_a_repair_is_checked_by_itself_and_the_row_says_what_the_payload_says(
    workspace: Any, client: Client, tmp_path: Path
) -> None:
    bell = record("A question with a \u0007 bell in it")
    dataset = filled(make_dataset(workspace), tmp_path / "t", bell, record(QUESTION, messages=None))
    before = dataset.records.get(code="control_characters")
    page = f"/datasets/{dataset.pk}/records/change/"
    asked = {"action": "repair", "all": "1", "verdict": "invalid"}
    html = client.get(page, asked).content.decode()
    assert "1 would change; 1 would become valid." in html
    client.post(page, {**asked, "repairs": list(REPAIRS)})
    drain()
    after = dataset.records.get(pk=before.pk)
    assert (after.verdict, after.preview) == ("valid", "A question with a  bell in it")
    assert after.digest != before.digest


def test_what_no_repair_can_mend_is_not_offered(workspace: Any, client: Client, tmp_path: Path) -> None:
    robot = {"input": {"messages": [{"role": "robot", "content": QUESTION}, {"role": "user", "content": QUESTION}]}}
    dataset = filled(make_dataset(workspace), tmp_path / "t", robot)
    assert dataset.records.get().code == "invalid_role"
    assert services.repairable(dataset) is False
    assert "Repair what can be repaired." not in client.get(f"/datasets/{dataset.pk}/report/").content.decode()


def test_nothing_is_repaired_while_records_are_checked(workspace: Any, tmp_path: Path) -> None:
    dataset = filled(make_dataset(workspace), tmp_path / "t", record("A question with a \u0007 bell in it"))
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    with pytest.raises(services.Refused, match="are being checked just now"):
        bulk.begin(dataset, plan_of(dataset, "repair"), by=None)


def test_a_failed_action_goes_on_at_a_button(workspace: Any, client: Client, tmp_path: Path) -> None:
    dataset = make_dataset(workspace)
    job = actions.start(dataset, actions.CATEGORIZE, {}, by=None)
    drain()
    job.refresh_from_db()
    assert job.state == "FAILED"
    again = f"/datasets/{dataset.pk}/again/categorize/"
    assert again in client.get(f"/datasets/{dataset.pk}/").content.decode()
    client.post(again)
    job.refresh_from_db()
    assert job.state == "QUEUED"


def test_a_stopped_import_goes_on_at_a_button(workspace: Any, client: Client, tmp_path: Path) -> None:
    batch = ImportBatch.objects.create(
        dataset=make_dataset(workspace), filename="t", path=str(write_lines(tmp_path / "t", record(QUESTION)))
    )
    job = services.start_import(batch, "auto", "", by=None)
    request_cancel(job)
    page = f"/datasets/{batch.dataset_id}/import/{batch.pk}/"
    assert "Read the rest of the file." in client.get(page).content.decode()
    client.post(f"/datasets/{batch.dataset_id}/run/import/{batch.pk}/")
    drain()
    batch.refresh_from_db()
    assert (batch.imported, batch.finished_at is not None) == (1, True)
    assert "Read the rest of the file." not in client.get(page).content.decode()
    assert services.start_import(batch, "auto", "", by=None).pk == batch.job_id  # it is not read a second time
    assert Job.objects.filter(kind="import").count() == 1


def test_a_file_that_cannot_be_kept_leaves_no_dataset(workspace: Any, client: Client, settings: Any) -> None:
    blocked = product.DATA_DIR / "not-a-folder"
    blocked.write_text("")
    settings.UPLOAD_DIR = blocked
    file = SimpleUploadedFile("t.jsonl", b"{}")
    answer = client.post("/datasets/new/", {"name": "Mine", "file": file})
    assert answer.status_code == 422
    assert Dataset.objects.count() == 0


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "101"])
def test_a_target_is_a_share(workspace: Any, value: str) -> None:
    dataset = small_dataset(workspace)
    with pytest.raises(services.Refused):
        services.set_targets(dataset, {dataset.topics.leaves()[0]: value})


@pytest.mark.parametrize("path", ["?q=%00", "?q=%00&verdict=%00", "?before=%00"])
def test_a_nul_in_the_address_finds_nothing(workspace: Any, client: Client, path: str) -> None:
    assert client.get(f"/datasets/{make_dataset(workspace).pk}/{path}").status_code == 200


@pytest.mark.parametrize("name", ["stop", "again"])
def test_an_action_that_is_none_is_not_found(workspace: Any, client: Client, name: str) -> None:
    assert client.post(f"/datasets/{make_dataset(workspace).pk}/{name}/%00/").status_code == 404


def test_a_helper_that_cannot_be_opened_is_done_without(workspace: Any) -> None:
    heard: list[str] = []
    Connection.objects.create(workspace=workspace, kind="openai", name="Old", sealed="broken", helper_model="m")
    assert helper_of(make_dataset(workspace), heard.append) is None
    assert [sentence.startswith("The helper model cannot be asked: ") for sentence in heard] == [True]


def test_import_traces_stops_at_its_limit(workspace: Any, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "t", *(record(f"{QUESTION} Number {n}.") for n in range(5)))
    report = tmp_path / "report.json"
    call_command("import_traces", str(path), "--dataset", "Some", "--limit", "3", "--report", str(report))
    assert Dataset.objects.get(name="Some").records.count() == 3


def test_a_report_that_cannot_be_written_is_one_sentence(workspace: Any, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "t", record(QUESTION))
    with pytest.raises(CommandError, match=r"^/nowhere/r.json cannot be written: No such file or directory\.$"):
        call_command("import_traces", str(path), "--dataset", "Some", "--report", "/nowhere/r.json")
