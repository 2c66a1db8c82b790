"""Which model a run may be trained on: the cards of its page, and what the server refuses all the same."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from django.test import Client

from rft_project.connections.models import Connection, Workspace
from rft_project.connections.services import add, local_connection
from rft_project.jobs.models import Job
from rft_project.platforms.errors import PlatformError
from tests.emulators import mantle, openai
from tests.emulators.faults import Fault
from tests.engine.process import Engine
from tests.wizard_app.conftest import dry_run_params
from tests.worker import drain
from wizard_app import services
from wizard_app.choosing import model_info, offered, training_refusal
from wizard_app.models import RFTJob
from wizard_app.panels.models import chooser
from wizard_app.schemas import TrainParams


@pytest.fixture
def emulator(settings: Any) -> Iterator[openai.OpenAIEmulator]:
    with openai.running() as running:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [running.url.split("/")[2]]
        yield running


@pytest.fixture
def account(workspace: Workspace, emulator: openai.OpenAIEmulator) -> Connection:
    """A connection to the emulator, whose o4-mini is open until 2099."""
    return add(workspace, "openai", "OpenAI", dict(emulator.credentials), by=None)


def retire(emulator: openai.OpenAIEmulator) -> None:
    emulator.models[openai.TRAINABLE][0]["shutdown_date"] = "2026-10-23"


def text(html: str) -> str:
    """What stands on the page, with single blanks."""
    plain = unescape(re.sub(r"<[^>]+>", " ", html)).replace("\xa0", " ")
    return re.sub(r"\s+([.,])", r"\1", re.sub(r"\s+", " ", plain))


def page_of(client: Client, run: RFTJob) -> str:
    return client.get(f"/runs/{run.pk}/dry-run/").content.decode()


def test_cards_say_who_may_train_a_model_and_how_long_still(
    graded_run: RFTJob, engine: Engine, account: Connection, owner: Any, client_of: Any
) -> None:
    html = page_of(client_of(owner), graded_run)
    shown = text(html)
    assert "Existing customers" in shown
    assert "5 January 2027 is the last" in shown
    assert "100.00 USD per hour of training." in shown
    assert re.search(r"A dry run of 42 prompts: .* tokens, whose price is not known\.", shown)
    assert "Free: it runs on your own machine." in shown
    assert "Emulated" in shown
    assert f'value="{account.pk}|{openai.TRAINABLE}"' in html
    assert len(re.findall(r'name="model"[^>]*checked', html)) == 1


def test_a_retired_model_is_shown_with_its_date_and_cannot_be_chosen(
    graded_run: RFTJob, engine: Engine, account: Connection, emulator: openai.OpenAIEmulator, owner: Any, client_of: Any
) -> None:
    retire(emulator)
    html = page_of(client_of(owner), graded_run)
    assert "o4-mini can't be trained any more: 22 October 2026 was the last day." in text(html)
    assert f'value="{account.pk}|{openai.TRAINABLE}"' not in html


def test_the_server_refuses_a_retired_model_whatever_the_page_showed(
    graded_run: RFTJob, account: Connection, emulator: openai.OpenAIEmulator, owner: Any, client_of: Any
) -> None:
    retire(emulator)
    params = dry_run_params(graded_run, connection=str(account.pk), model=openai.TRAINABLE)
    with pytest.raises(services.Refused, match="o4-mini can't be trained any more: 22 October 2026 was the last day"):
        services.start_dry_run(graded_run, params, by=None)
    client = client_of(owner)
    sent = {"model": f"{account.pk}|{openai.TRAINABLE}", "size": "4", "answers": "2"}
    answer = client.post(f"/runs/{graded_run.pk}/do/dry-run/", sent, follow=True)
    assert "o4-mini can't be trained any more" in text(answer.content.decode())
    assert Job.objects.filter(kind="dry_run").count() == 0


@pytest.fixture
def sampled(graded_run: RFTJob, account: Connection) -> RFTJob:
    """A run whose dry run on the emulated o4-mini has ended, and may go on to training."""
    params = dry_run_params(graded_run, connection=str(account.pk), model=openai.TRAINABLE, size=4, answers=2)
    services.start_dry_run(graded_run, params, by=None)
    drain(jump=True)
    services.override_no_go(graded_run, "The emulator's answers do not matter here.", by=None)
    return RFTJob.objects.get(pk=graded_run.pk)


def test_training_is_refused_when_the_model_closed_after_the_dry_run(
    sampled: RFTJob, emulator: openai.OpenAIEmulator
) -> None:
    retire(emulator)
    with pytest.raises(services.Refused, match="o4-mini can't be trained any more"):
        services.start_training(sampled, TrainParams(), by=None)
    assert Job.objects.filter(kind="train").count() == 0


def test_a_model_that_closes_while_the_run_waits_is_not_started(
    sampled: RFTJob, emulator: openai.OpenAIEmulator
) -> None:
    job = services.start_training(sampled, TrainParams(), by=None)
    retire(emulator)
    drain(jump=True)
    job.refresh_from_db()
    assert job.error_message == (
        "o4-mini can't be trained any more: 22 October 2026 was the last day. Choose another model."
    )
    assert (emulator.files, emulator.jobs) == ({}, {})


def test_a_job_that_was_started_before_its_model_closed_is_followed(
    sampled: RFTJob, emulator: openai.OpenAIEmulator
) -> None:
    """The worker died between the platform's answer and its own note of it."""
    services.start_training(sampled, TrainParams(), by=None)
    drain(limit=1)
    assert len(emulator.jobs) == 1
    RFTJob.objects.filter(pk=sampled.pk).update(training_handle="")
    retire(emulator)
    drain(jump=True)
    sampled.refresh_from_db()
    assert sampled.training_handle == next(iter(emulator.jobs))
    assert len(emulator.jobs) == 1


def test_a_split_that_does_not_fit_is_refused_before_anything_is_sent(
    graded_run: RFTJob, engine: Engine, owner: Any, settings: Any, client_of: Any
) -> None:
    with mantle.running() as emulator:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [url.split("/")[2] for url in (emulator.url, emulator.aws.url)]
        given = dict(emulator.credentials)
        connection = add(graded_run.workspace, "bedrock_openai", "Bedrock", given, by=None)
        sentence = "gpt-oss-20b takes no fewer than 100 rows to train on; this split has 42."
        found = chooser(graded_run, owner)
        (card,) = [card for card in found.unfit if card.title == "gpt-oss-20b"]
        assert (card.facts[0].state, card.facts[0].title) == ("bad", sentence)
        assert (card.where, card.word, card.emulated) == ("Bedrock, Amazon Bedrock, open-weight models", "Open", True)
        assert [one.title for one in found.cards] == ["SmolLM2 135M Instruct", "Classifier"]
        assert found.mostly == "it takes no fewer than 100 rows to train on; this split has 42."
        html = page_of(client_of(owner), graded_run)
        assert re.search(r"<details><summary>2.models? that can't be trained with this split and grader", html)
        assert html.index("that can't be trained with this split") < html.index(f'value="{card.value}"')
        assert f"most often: {found.mostly}" in text(html)
        graded_run.connection, graded_run.base_model = connection, mantle.TRAINABLE
        again = chooser(graded_run, owner)  # the model of the last dry run is in sight whatever does not fit
        assert ([one.title for one in again.cards if one.chosen], len(again.unfit)) == (["gpt-oss-20b"], 1)
        asked = list(emulator.requests)
        params = dry_run_params(graded_run, connection=str(connection.pk), model=mantle.TRAINABLE)
        with pytest.raises(services.Refused, match=sentence):
            services.start_dry_run(graded_run, params, by=None)
        assert emulator.requests == asked


def test_platforms_without_a_connection_can_be_connected_by_owners_only(
    graded_run: RFTJob, engine: Engine, owner: Any, colleague: Any, client_of: Any
) -> None:
    link = "/connections/new/openai/"
    assert link in page_of(client_of(owner), graded_run)
    theirs = page_of(client_of(colleague), graded_run)
    assert link not in theirs
    assert "An owner of the workspace can connect it." in theirs


def test_a_platform_that_fails_hides_no_other(
    graded_run: RFTJob, engine: Engine, account: Connection, emulator: openai.OpenAIEmulator, owner: Any
) -> None:
    emulator.faults.append(Fault("GET", "/models", 401, message="The key was revoked."))
    found = chooser(graded_run, owner)
    assert [name for name, _ in found.problems] == ["OpenAI"]
    assert "The key was revoked" in found.problems[0][1]
    assert [card.title for card in found.cards if card.chosen] != []
    assert found.blocked == ""


def test_a_platform_that_hangs_holds_the_page_up_no_longer_than_that(
    workspace: Workspace, engine: Engine, account: Connection, emulator: openai.OpenAIEmulator
) -> None:
    emulator.faults.append(Fault("GET", "/models", "hang", seconds=3))
    started = time.monotonic()
    local, hanging = offered([local_connection(workspace), account], patience=0.7)
    assert time.monotonic() - started < 2.5
    assert not isinstance(local, PlatformError)
    assert "It did not answer within 0.7 seconds" in str(hanging)


def test_a_connection_that_may_not_answer_is_left_out_with_the_reason_and_starts_nothing(
    graded_run: RFTJob, engine: Engine, account: Connection, owner: Any, client_of: Any
) -> None:
    Connection.objects.filter(pk=account.pk).update(may_sample=False)
    html = page_of(client_of(owner), graded_run)
    assert "OpenAI may not answer in runs: an owner of the workspace decides that" in text(html)
    assert f'value="{account.pk}|{openai.TRAINABLE}"' not in html
    with pytest.raises(services.Refused, match="OpenAI may not answer in runs"):
        services.start_dry_run(
            graded_run, dry_run_params(graded_run, connection=str(account.pk), model=openai.TRAINABLE), by=owner
        )
    assert not Job.objects.filter(kind="dry_run").exists()


def test_a_connection_that_may_not_train_answers_in_dry_runs_only(
    graded_run: RFTJob, engine: Engine, account: Connection, owner: Any, client_of: Any
) -> None:
    Connection.objects.filter(pk=account.pk).update(may_train=False)
    assert "It may answer here, but not train." in text(page_of(client_of(owner), graded_run))
    graded_run.connection, graded_run.base_model = account, openai.TRAINABLE
    graded_run.connection.refresh_from_db()
    assert training_refusal(graded_run, model_info(graded_run.connection, openai.TRAINABLE)) == (
        "OpenAI may not train: an owner of the workspace decides that on the page of connections."
    )
