"""The helper model over real HTTP: what it says is used, what it says badly costs nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from datasets_app import actions
from datasets_app.core.categorizing import HelperAnswer
from datasets_app.core.topics import flat_tree
from datasets_app.helper import ModelHelper, helper_of
from datasets_app.topic_commands import replace_tree
from rft_project.connections.models import Connection
from rft_project.jobs.models import JobEvent
from rft_project.platforms import build
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain

TREE = flat_tree({"refunds": ("Money back.", ["refund"]), "parcels": ("Deliveries.", ["parcel"])})


class Model:
    """A chat server that answers what it is told to; ``asked`` are the user messages it got."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                model.asked.append(json.loads(body["messages"][-1]["content"]))
                answer = model.answers.pop(0) if len(model.answers) > 1 else model.answers[0]
                status = answer if isinstance(answer, int) else 200
                text = answer if isinstance(answer, str) else json.dumps(answer)
                choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
                reply = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
                sent = json.dumps(reply if status == 200 else {"error": {"message": "no"}}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1"


@pytest.fixture
def serve() -> Iterator[Any]:
    started: list[Model] = []

    def start(*answers: Any) -> Model:
        started.append(Model(*answers))
        return started[-1]

    yield start
    for model in started:
        model.server.shutdown()
        model.server.server_close()


def helper(model: Model, complaints: list[str] | None = None) -> ModelHelper:
    heard = complaints if complaints is not None else []
    return ModelHelper(build("local", {"base_url": model.url}), "helper", heard.append)


def test_a_group_gets_the_name_the_model_gives_in_our_form(serve):
    model = serve('Sure! ```json\n{"name": "Late Parcels", "description": "It is late.", "keywords": ["late"]}\n```')
    label = helper(model).label(["Where is it?"], ["where"], ["refunds"])
    assert (label.name, label.description, label.keywords) == ("late_parcels", "It is late.", ["late"])
    assert model.asked == [{"messages": ["Where is it?"], "words_often_used": ["where"], "names_taken": ["refunds"]}]


@pytest.mark.parametrize("answer", ["I would rather not.", '{"name": ""}', '{"name": "refunds"}', "{broken", "[1, 2]"])
def test_an_unusable_name_leaves_the_statistical_one(serve, answer):
    assert helper(serve(answer)).label(["Where is it?"], ["where"], ["refunds"]) is None


def test_texts_are_sorted_ten_at_a_time_and_keep_their_order(serve):
    """An answer list of the wrong length counts as none: which answer is whose could not be told."""
    model = serve({"answers": [{"topic": "parcels", "confidence": 0.9}] * 10})
    found = helper(model).sort([f"text {n}" for n in range(12)], TREE)
    assert found == [HelperAnswer("parcels", 0.9)] * 10 + [None] * 2
    assert sorted(len(asked["messages"]) for asked in model.asked) == [2, 10]


@pytest.mark.parametrize(
    "answer",
    [
        {"answers": []},
        {"answers": [{"topic": "invented", "confidence": 0.9}]},
        {"answers": [{"topic": "parcels", "confidence": 7}]},
        {"answers": [{"topic": "parcels", "confidence": True}]},
        {"answers": ["parcels"]},
        "no",
    ],
)
def test_an_answer_that_cannot_be_right_counts_as_none(serve, answer):
    assert helper(serve(answer)).sort(["Where is it?"], TREE) == [None]


def test_a_refusing_platform_is_said_and_costs_nothing(serve):
    complaints: list[str] = []
    assert helper(serve(401), complaints).sort(["Where is it?"], TREE) == [None]
    assert len(complaints) == 1
    assert complaints[0].startswith("The helper model gave no answer: ")


@pytest.mark.django_db(transaction=True)
def test_doubtful_records_are_sorted_by_the_workspaces_helper(workspace, serve, tmp_path, settings):
    model = serve({"answers": [{"topic": "refunds", "confidence": 0.95}]})
    settings.ENGINE_URL = model.url
    connection = Connection(workspace=workspace, kind="local", name="Helper", helper_model="helper")
    connection.set_credentials({})
    connection.save()
    dataset = make_dataset(workspace)
    assert helper_of(dataset, print) is not None
    import_file(dataset, write_lines(tmp_path / "t", record("Something else entirely, on a windy evening.")))
    replace_tree(dataset, TREE, "Set by the test.")
    actions.start(dataset, actions.CATEGORIZE, {}, by=None)
    drain()
    row = dataset.records.get()
    assert (row.topic, row.method, row.needs_review) == ("refunds", "llm", False)
    assert JobEvent.objects.count() == 0
