"""One pace for a connection, whoever works: threads, jobs, processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from rft_project.connections import services
from rft_project.connections.models import Connection, Pacing
from rft_project.connections.pacing import SharedStore, pace_of
from rft_project.platforms import NotYet, PlatformError
from rft_project.platforms.rates import Ask, Reading, Seen
from rft_project.platforms.types import SampleRequest
from tests.emulators import openai
from tests.emulators.faults import Fault
from tests.emulators.limits import Limits
from tests.worker import child_environment

from .asking import ask

QUESTION = SampleRequest(
    model=openai.CHAT, messages=[{"role": "user", "content": "Where is my parcel?"}], max_tokens=40
)
shared = pytest.mark.django_db(transaction=True)


@shared
def test_two_processes_together_never_pass_the_limit(
    add: Callable[..., Connection], emulator: openai.OpenAIEmulator
) -> None:
    connection = add()
    emulator.limits, emulator.latency = Limits(requests_per_minute=100, window=2.0), 0.02
    command = [sys.executable, "-m", "tests.connections.asking", str(connection.pk), openai.CHAT, "60"]
    environment = child_environment(ALLOWED_PRIVATE_ENDPOINTS=urlsplit(emulator.url).netloc)
    other = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        here = ask(str(connection.pk), openai.CHAT, 140)
        there = json.loads(other.communicate(timeout=60)[0])
    finally:
        other.kill()
        other.wait()
    assert (here, there) == ({"answers": 140, "wrong": []}, {"answers": 60, "wrong": []})
    assert (emulator.limits.admitted, emulator.limits.violations) == (200, 0)
    row = Pacing.objects.get(connection=connection)
    assert row.shares["buckets"]["requests"]["limit"] == 100
    assert row.version < 200  # a process takes shares for many calls at a time


@shared
def test_a_wait_that_one_process_was_told_of_is_every_others(
    add: Callable[..., Connection], emulator: openai.OpenAIEmulator, owner
) -> None:
    connection = add()
    emulator.faults.append(Fault("POST", "/chat/completions", 429, {"retry-after": "90"}))
    with pytest.raises(PlatformError):
        services.platform_for(connection).sample(QUESTION)
    elsewhere = SharedStore(connection.pk).exchange(Ask({"requests": 1.0}))
    assert 80 < elsewhere.paused <= 90
    with pytest.raises(NotYet):
        services.platform_for(connection).sample(QUESTION)
    assert emulator.count("POST", "/chat/completions") == 1
    until = Pacing.objects.get(connection=connection).paused_until
    assert until is not None
    assert timedelta(seconds=80) < until - timezone.now() <= timedelta(seconds=90)


@pytest.mark.django_db
def test_the_page_says_until_when(add: Callable[..., Connection], owner, client_of) -> None:
    connection = add()
    until = timezone.now() + timedelta(minutes=3)
    Pacing.objects.create(connection=connection, paused_until=until)
    said = f"Rate limited until {timezone.localtime(until):%H:%M:%S}: OpenAI asked for a wait"
    assert said in client_of(owner).get("/connections/").content.decode()
    Pacing.objects.update(paused_until=timezone.now())
    assert "Rate limited" not in client_of(owner).get("/connections/").content.decode()


@shared
def test_another_key_begins_anew(add: Callable[..., Connection], emulator: openai.OpenAIEmulator, owner) -> None:
    connection = add()
    pace = pace_of(connection)
    services.platform_for(connection).sample(QUESTION)
    assert Pacing.objects.filter(connection=connection).count() == 1
    services.replace_credentials(connection, emulator.credentials, by=owner)
    assert not Pacing.objects.filter(connection=connection).exists()
    assert pace_of(connection) is not pace


@shared
def test_a_row_that_cannot_be_read_is_learned_anew(add: Callable[..., Connection]) -> None:
    connection = add()
    Pacing.objects.create(connection=connection, shares={"buckets": "many"})
    grant = SharedStore(connection.pk).exchange(
        Ask({"requests": 1.0}, seen={"requests": Seen(Reading(100.0, 50.0, None), None)}, heard=True)
    )
    assert grant.given["requests"] >= 1
    assert Pacing.objects.get(connection=connection).shares["buckets"]["requests"]["limit"] == 100


def test_a_connection_that_is_not_saved_yet_has_a_pace_of_its_own(workspace, emulator: openai.OpenAIEmulator) -> None:
    connection = Connection(workspace=workspace, kind="openai", name="New")
    connection.set_credentials(emulator.credentials)
    assert len(services.platform_for(connection).sample(QUESTION).answers) == 1
    assert not Pacing.objects.exists()
