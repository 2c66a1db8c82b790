from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from rft_project.jobs import bell
from rft_project.jobs.health import worker_alive
from rft_project.jobs.models import Heartbeat, Job
from rft_project.jobs.runner import claim
from rft_project.jobs.services import enqueue
from rft_project.jobs.sweep import forget_old_heartbeats
from tests.worker import drain

pytestmark = pytest.mark.django_db


def test_without_a_sign_of_life_there_is_no_worker() -> None:
    assert worker_alive() is False


def test_an_answered_ping_counts_for_a_while() -> None:
    token, _ = bell.ping("this host/1")
    assert worker_alive() is False
    drain()
    assert worker_alive() is True
    assert Heartbeat.objects.get().token == token
    Heartbeat.objects.update(beat_at=timezone.now() - timedelta(seconds=46))
    assert worker_alive() is False


def test_a_worker_inside_a_long_job_is_alive() -> None:
    job = enqueue("scripted", {"steps": ["done"]}, lock_key="thing:1")
    claim(job.pk)
    assert worker_alive() is True
    Job.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=46))
    assert worker_alive() is False


def test_hosts_that_are_gone_for_a_day_are_forgotten() -> None:
    Heartbeat.objects.create(name="old", beat_at=timezone.now() - timedelta(hours=25))
    Heartbeat.objects.create(name="new")
    forget_old_heartbeats()
    assert [beat.name for beat in Heartbeat.objects.all()] == ["new"]
