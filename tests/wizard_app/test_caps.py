"""Caps seen from the wizard: work stops before the call that would pass them, and goes on where it was once raised."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from rft_project.connections.models import Connection
from rft_project.connections.services import add
from rft_project.jobs.models import Job, State
from rft_project.money import expenses, prices
from rft_project.money.models import Cap, Expense
from tests.emulators import openai
from tests.wizard_app.conftest import dry_run_params
from tests.worker import drain, wait_for
from wizard_app import flow, paying, services
from wizard_app.models import RFTJob, Rollout
from wizard_app.schemas import TrainParams

pytestmark = pytest.mark.django_db(transaction=True)
NO_GO = "The emulator's answers do not matter here."


@pytest.fixture
def emulator(settings: Any) -> Iterator[openai.OpenAIEmulator]:
    with openai.running() as running:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [running.url.split("/")[2]]
        yield running


@pytest.fixture
def account(workspace: Any, emulator: openai.OpenAIEmulator) -> Connection:
    """Its o4-mini costs 1 and 4 USD per million tokens, and 100 USD per hour of training."""
    made = add(workspace, "openai", "OpenAI", dict(emulator.credentials), by=None)
    prices.enter(workspace, "openai", openai.TRAINABLE, {"input": 1.0, "output": 4.0}, by=None)
    return made


def cap(run: RFTJob, usd: str | None = None, tokens: int | None = None) -> None:
    limit = None if usd is None else Decimal(usd)
    expenses.set_cap(run.workspace, paying.about(run), usd=limit, tokens=tokens, by=None)


def dry_run(run: RFTJob, account: Connection, **changes: Any) -> Job:
    params = dry_run_params(run, connection=str(account.pk), model=openai.TRAINABLE, size=6, answers=2, **changes)
    job = services.start_dry_run(run, params, by=None)
    drain(jump=True)
    run.refresh_from_db()
    return Job.objects.get(pk=job.pk)


def trained(run: RFTJob, owner: Any) -> Job:
    services.override_no_go(run, NO_GO, by=owner)
    job = services.start_training(run, TrainParams(hyperparameters={"n_epochs": 12}), by=owner)
    drain(jump=True)
    run.refresh_from_db()
    return Job.objects.get(pk=job.pk)


def test_a_dry_run_is_paid_for_once_whatever_it_costs(graded_run: RFTJob, account: Connection) -> None:
    assert dry_run(graded_run, account).state == State.SUCCEEDED
    rollouts = Rollout.objects.filter(run=graded_run)
    given, got = sum(r.prompt_tokens for r in rollouts), sum(r.completion_tokens for r in rollouts)
    spent = expenses.spent(graded_run.workspace, paying.about(graded_run))
    assert (spent.tokens, spent.unpriced) == (given + got, 0)
    assert spent.usd == pytest.approx((given + 4 * got) / 1e6)
    assert Expense.objects.filter(settled=False).count() == 0
    assert dry_run(graded_run, account).state == State.SUCCEEDED
    assert expenses.spent(graded_run.workspace, paying.about(graded_run)) == spent


def test_a_dry_run_stops_at_its_cap_keeps_its_answers_and_goes_on(
    graded_run: RFTJob, account: Connection, emulator: openai.OpenAIEmulator
) -> None:
    held = 2 * (600 + 64)  # what two answers to one of the sample's prompts may take, rather less
    cap(graded_run, tokens=3 * held)
    job = dry_run(graded_run, account, max_tokens=64)
    assert (job.state, job.error_code) == (State.FAILED, "cap")
    assert job.error_message.startswith(f"The cap of this run, {3 * held:,} tokens, is reached: ")
    kept = Rollout.objects.filter(run=graded_run, error="").count()
    assert 0 < kept < 12
    cap(graded_run, tokens=10**6)
    services.again(graded_run, flow.DRY_RUN, by=None)
    drain(jump=True)
    assert Job.objects.get(pk=job.pk).state == State.SUCCEEDED
    assert Rollout.objects.filter(run=graded_run, error="").count() == 12
    # Two answers at once are refused for each prompt, then each is asked for by itself.
    assert emulator.count("POST", "/chat/completions") == 6 * 3


def test_a_training_whose_least_cost_is_beyond_the_cap_is_not_started(
    graded_run: RFTJob, account: Connection, emulator: openai.OpenAIEmulator, owner: Any
) -> None:
    dry_run(graded_run, account)
    cap(graded_run, usd="1.00")
    job = trained(graded_run, owner)
    assert job.state == State.FAILED
    assert job.error_message.startswith("The training was not started. The cap of this run, $1.00, is reached: ")
    assert emulator.jobs == {}


def test_a_training_is_paused_at_its_cap_and_goes_on_when_it_is_raised(
    graded_run: RFTJob, account: Connection, emulator: openai.OpenAIEmulator, owner: Any, client_of: Any
) -> None:
    dry_run(graded_run, account)
    emulator.step_seconds = 0.05
    prices.enter(graded_run.workspace, "openai", openai.TRAINABLE, {"training_hour": 1e6}, by=None)
    job = trained_until_capped(graded_run, owner)
    assert (job.state, job.error_code) == (State.FAILED, "cap")
    assert job.error_message.startswith("The training is paused. The cap of this run, ")
    (made,) = emulator.jobs.values()
    wait_for(lambda: made["status"] == "paused", 5.0)  # after the step it is at
    assert graded_run.metrics.filter(series="train_reward").exists()
    page = client_of(owner).get(f"/runs/{graded_run.pk}/train/").content.decode()
    assert "Spent on this run" in page
    cap(graded_run)
    services.again(graded_run, flow.TRAIN, by=owner)
    drain(jump=True)
    graded_run.refresh_from_db()
    assert graded_run.tuned_model
    assert len(emulator.jobs) == 1
    row = Expense.objects.get(purpose="training")
    seconds = sum(graded_run.metrics.filter(series="seconds").values_list("value", flat=True))
    assert float(row.usd) == pytest.approx(seconds / 3600 * 1e6, rel=1e-4)


def trained_until_capped(run: RFTJob, owner: Any) -> Job:
    """The least that the start allows for is a guess; the cap is lowered once it runs."""
    services.override_no_go(run, NO_GO, by=owner)
    job = services.start_training(run, TrainParams(hyperparameters={"n_epochs": 50}), by=owner)
    while not run.metrics.exists():
        assert drain(limit=1, jump=True)
    cap(run, usd="0.01")
    drain(jump=True)
    return Job.objects.get(pk=job.pk)


def test_the_page_of_a_run_sets_its_cap_and_says_what_was_spent(
    graded_run: RFTJob, account: Connection, colleague: Any, client_of: Any
) -> None:
    dry_run(graded_run, account)
    client = client_of(colleague)
    answer = client.post(f"/runs/{graded_run.pk}/do/cap/", {"usd": "20", "tokens": "", "back": "dry_run"})
    assert answer["Location"] == f"/runs/{graded_run.pk}/dry-run/"
    assert Cap.objects.get().usd == 20
    assert "of 20.00" in client.get(answer["Location"]).content.decode().replace("\xa0", " ")
    client.post(f"/runs/{graded_run.pk}/do/cap/", {"usd": "-1"})
    assert Cap.objects.get().usd == 20
    client.post(f"/runs/{graded_run.pk}/do/cap/", {})
    assert not Cap.objects.exists()
