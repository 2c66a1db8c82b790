"""Everything people and their traces bring along is text: on no page does any of it become markup or a template."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from datasets_app import services as datasets
from datasets_app.models import Dataset, DatasetRecord, GenerationRun
from graders_app.services import save_grader
from rft_project.connections.models import Connection
from rft_project.jobs.models import Job, State
from tests.factories import write_lines
from tests.worker import drain
from wizard_app import services as wizard
from wizard_app import splitting
from wizard_app.models import RFTJob, RunEvent
from wizard_app.schemas import DryRunParams, SplitParams

pytestmark = pytest.mark.django_db


def evil(name: str) -> str:
    """Tries to leave text, attributes, scripts and templates, and turns the reading direction; ``name`` finds it."""
    return f"[{name}]'\"><script>boom()</script><img src=x onerror=boom()>{{{{7*7}}}}\u202e"


class Page(HTMLParser):
    """What a browser would make of a page: its text, and whatever a page of ours never has."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.foreign: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        own_script = tag == "script" and (given.get("src") or "").startswith("/static/")
        if tag in ("script", "img", "iframe", "object", "style", "base") and not own_script:
            self.foreign.append(tag)
        for name, value in attrs:
            address = (value or "").strip().lower()
            if name.startswith(("on", "hx-on")) or name in ("style", "hx-vals", "srcdoc"):
                self.foreign.append(f"{tag} {name}")
            leads_away = name in ("href", "src", "action", "hx-get", "hx-post") and ":" in address.partition("/")[0]
            if leads_away or address.startswith(("javascript:", "data:", "vbscript:", "//")):
                self.foreign.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_reader_of_pages_finds_what_it_looks_for():
    assert Page(evil("x")).foreign == ["script", "img", "img onerror"]
    assert Page('<a href=" javascript:boom()">').foreign == ["a href= javascript:boom()"]
    assert Page('<script src="/static/js/app.js" defer></script><a href="/x">y</a>').foreign == []


def hostile_trace(number: int) -> dict[str, Any]:
    call = {
        "id": evil("call-id"),
        "type": "function",
        "function": {"name": evil("tool-name"), "arguments": json.dumps({evil("argument"): evil("value")})},
    }
    messages = [
        {"role": "system", "content": evil("system")},
        {"role": "user", "content": [{"type": "text", "text": evil("earlier-user")}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": evil("call-id"), "content": evil("tool-answer")},
        {
            "role": "user",
            "name": evil("speaker"),
            "content": f"{evil('user')} Where is parcel number {number} of mine?",
        },
    ]
    tools = [{"type": "function", "function": {"name": evil("tool"), "description": evil("tool-text")}}]
    return {
        "input": {"messages": messages, "tools": tools},
        "output": {"messages": [{"role": "assistant", "content": evil("answer")}], "finish_reason": evil("finish")},
        "reference_answer": evil("reference"),
        "metadata": {evil("metadata-key"): evil("metadata")},
        "span_id": evil("span"),
        evil("custom-key"): evil("custom"),
    }


@pytest.fixture
def hostile(workspace, owner, client_of, tmp_path) -> dict[str, Any]:
    """A dataset, grader, connection and run made of hostile text, through the doors people use."""
    client = client_of(owner)
    lines = [*(hostile_trace(n) for n in range(12)), {"input": evil("not-an-input")}, evil("broken-line")]
    content = write_lines(tmp_path / "t.jsonl", *lines).read_bytes()
    file = SimpleUploadedFile("[file]'\"><img src=x onerror=boom()>{{7*7}}\u202e.jsonl", content)
    client.post(reverse("datasets:new_dataset"), {"name": evil("dataset"), "file": file})
    dataset = Dataset.objects.get()
    batch = dataset.batches.get()
    preview = client.get(reverse("datasets:review_import", args=[dataset.pk, batch.pk])).content.decode()
    datasets.start_import(batch, "auto", "", by=owner)
    drain()
    client.post(reverse("datasets:run_sanitize", args=[dataset.pk]))
    drain()
    topic = {"edit": "add", "new_name": "parcels", "description": evil("about"), "keywords": evil("word")}
    client.post(reverse("datasets:edit_topics", args=[dataset.pk]), topic)
    dataset.refresh_from_db()
    record = dataset.records.order_by("pk")[0]
    DatasetRecord.objects.filter(dataset=dataset).update(verdict="valid", topic=evil("topic")[:60])
    examples = DatasetRecord.objects.filter(dataset=dataset).order_by("pk")
    for name, row in zip(("parcels", "unknown"), examples[1:3], strict=True):
        DatasetRecord.objects.filter(pk=row.pk).update(topic=name, confidence=0.5)
    connection = Connection(workspace=workspace, kind="openai", name=evil("connection"), last_error=evil("error"))
    connection.set_credentials({"api_key": "sk-some-key-0123456789", "base_url": "https://10.0.0.1/v1"})
    connection.save()
    return {
        "client": client, "preview": preview, "dataset": dataset, "batch": batch, "record": record,
        "run": hostile_run(dataset, connection),
    }  # fmt: skip


def hostile_run(dataset: Dataset, connection: Connection) -> RFTJob:
    """Split and graded by services; what a platform would have said is put beside it."""
    run = wizard.create_run(dataset, evil("run"), by=None)
    splitting.split_run(run, SplitParams(ratio=0.5, min_validation=1))
    grader = {
        "type": "string_check",
        "name": evil("grader-part"),
        "operation": "eq",
        "input": "{{sample.output_text}}",
        "reference": "{{item.reference_answer}}",
    }
    saved = save_grader(dataset.workspace, evil("grader")[:100], grader, by=None)
    wizard.choose_grader(run, saved)
    RFTJob.objects.filter(pk=run.pk).update(connection=connection, base_model=evil("model"), training_word="x")
    failed = Job.objects.create(
        kind="dry_run", lock_key="hostile", state=State.FAILED, error_message=evil("job-error"), error_code="platform"
    )
    asked = DryRunParams(connection=str(connection.pk), model=evil("model")).model_dump(mode="json")
    run.steps.update_or_create(step="dry_run", defaults={"job": failed, "params": asked})
    RunEvent.objects.create(run=run, remote_id="1", at="2026-01-01T00:00Z", level="info", message=evil("event"))
    return RFTJob.objects.get(pk=run.pk)


def hostile_generation(dataset: Dataset) -> GenerationRun:
    """A run whose model answered with hostile text."""
    plan = {"topics": [{"topic": "parcels", "number": 5}]}
    run = GenerationRun.objects.create(dataset=dataset, model=evil("writer"), plan=plan, ended="hopeless")
    rejected = [{"code": "refusal", "sentence": evil("sentence"), "text": evil("rejected"), "n": 5}]
    same = {"topic": "parcels", "strategy": "few_shot", "wanted": 5}
    run.calls.create(number=1, state="stored", rejected=rejected, **same)
    return run


def open_pages(hostile: dict[str, Any]) -> dict[str, str]:
    dataset, run, get = hostile["dataset"], hostile["run"], hostile["client"].get
    grader = run.grader
    paths = {
        "datasets": reverse("datasets:datasets"),
        "dataset": dataset.get_absolute_url(),
        "search": dataset.get_absolute_url() + "?q=%22%3E%3Cscript%3Eboom()%3C/script%3E&verdict=%3Cx&page=%3Cx",
        "imports": reverse("datasets:import_page", args=[dataset.pk]),
        "import": reverse("datasets:review_import", args=[dataset.pk, hostile["batch"].pk]),
        "rejected": reverse("datasets:rejected", args=[dataset.pk, hostile["batch"].pk]),
        "report": reverse("datasets:report", args=[dataset.pk]),
        "coverage": reverse("datasets:coverage_page", args=[dataset.pk]),
        "plan of a generation": reverse("datasets:generate", args=[dataset.pk]),
        "generation": hostile_generation(dataset).get_absolute_url(),
        "topics": reverse("datasets:topics", args=[dataset.pk]),
        "topic": reverse("datasets:topic", args=[dataset.pk, "parcels"]),
        "unknown": reverse("datasets:topic", args=[dataset.pk, "unknown"]),
        "record": reverse("datasets:record", args=[dataset.pk, hostile["record"].pk]),
        "graders": reverse("graders:graders"),
        "grader": reverse("graders:grader", args=[grader.pk]),
        "runs": reverse("wizard:runs"),
        "new run": reverse("wizard:new_run", args=[dataset.pk]),
        "split": reverse("wizard:split", args=[run.pk]),
        "run's grader": reverse("wizard:grader", args=[run.pk]),
        "dry run": reverse("wizard:dry_run", args=[run.pk]),
        "connections": reverse("connections:connections"),
        "new key": reverse("connections:credentials", args=[run.connection_id]),
    }
    found = {}
    for name, path in paths.items():
        answer = get(path)
        assert (name, answer.status_code) == (name, 200)
        found[name] = answer.content.decode()
    drawer = get(paths["record"], headers={"HX-Request": "true"})
    return {**found, "drawer": drawer.content.decode(), "preview": hostile["preview"]}


#: What of the hostile text each page shows; without it the test would pass on an empty page.
SHOWN = {
    "datasets": ["dataset"],
    "dataset": ["dataset", "topic", "user"],
    "coverage": ["dataset"],
    "preview": ["dataset", "file", "user"],
    "imports": ["dataset", "file"],
    "rejected": ["dataset", "broken-line"],
    "plan of a generation": ["dataset", "writer"],
    "generation": ["dataset", "writer", "sentence", "rejected"],
    "report": ["dataset"],
    "topics": ["dataset"],
    "topic": ["dataset", "about", "word", "user"],
    "unknown": ["dataset", "user"],
    "record": ["dataset", "system", "earlier-user", "tool-name", "tool-answer", "user", "answer", "reference", "span"],
    "drawer": ["system", "earlier-user", "tool-name", "tool-answer", "user", "answer", "reference", "span", "file"],
    "graders": ["grader"],
    "grader": ["grader", "grader-part"],
    "runs": ["run", "dataset"],
    "split": ["run"],
    "run's grader": ["run", "grader"],
    "dry run": ["run", "job-error"],
    "connections": ["connection", "error"],
    "new key": ["connection"],
}


def test_hostile_text_is_shown_as_text_on_every_page(hostile, settings):
    settings.ENGINE_URL = "http://127.0.0.1:9/v1"  # nobody there: the pages say so
    pages = {name: Page(html) for name, html in open_pages(hostile).items()}
    assert {name: page.foreign for name, page in pages.items() if page.foreign} == {}
    missing = {name: [w for w in words if f"[{w}]" not in pages[name].text] for name, words in SHOWN.items()}
    assert {name: words for name, words in missing.items() if words} == {}
    assert [name for name, page in pages.items() if "[user]49" in page.text or "boom()>49" in page.text] == []


def test_the_turn_of_reading_direction_is_made_visible_in_conversations(hostile):
    client, dataset, record = hostile["client"], hostile["dataset"], hostile["record"]
    answer = client.get(
        reverse("datasets:record", args=[dataset.pk, record.pk]), headers={"HX-Request": "true"}
    ).content.decode()
    assert "boom()" in answer
    shown: Callable[[str], int] = answer.count
    assert shown("\u202e") <= 2  # the topic in the list of topics; nothing of the conversation


def test_downloads_are_no_pages(hostile):
    client, dataset, run = hostile["client"], hostile["dataset"], hostile["run"]
    answers = [
        client.get(reverse("datasets:rejected", args=[dataset.pk, hostile["batch"].pk]) + "?download"),
        client.get(reverse("datasets:download_report", args=[dataset.pk, "json"])),
        client.get(reverse("datasets:download_report", args=[dataset.pk, "csv"])),
        client.get(reverse("wizard:report", args=[run.pk])),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert answer["Content-Disposition"].startswith("attachment;")
        assert answer["Content-Type"].split(";")[0] in ("application/json", "text/csv", "text/plain")
        assert answer["X-Content-Type-Options"] == "nosniff"
