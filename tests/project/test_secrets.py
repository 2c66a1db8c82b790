"""A credential entered by a person stays where it belongs: sealed in one column, and in the calls to its platform."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import connection as database
from django.urls import reverse
from django_q.models import OrmQ

from graders_app.core.presets import load_preset
from graders_app.services import save_grader
from rft_project.connections.models import Connection
from rft_project.connections.scrub import SecretFilter
from rft_project.jobs.models import Job
from tests.emulators import openai
from tests.factories import small_dataset
from tests.worker import drain
from wizard_app import services, splitting
from wizard_app.items import preset_context
from wizard_app.models import RFTJob, Rollout
from wizard_app.schemas import DryRunParams, SplitParams

pytestmark = pytest.mark.django_db(transaction=True)

CANARY = "sk-canary-7f3a9c1e5b2d4086-do-not-leak"
SECOND = "canary-of-no-known-shape-51c0de"


@pytest.fixture
def platform(settings: Any) -> Iterator[openai.OpenAIEmulator]:
    with openai.running() as running:
        running.key = CANARY
        settings.ALLOWED_PRIVATE_ENDPOINTS = [urlsplit(running.url).netloc]
        yield running


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that would be logged, at the most talkative level, through the product's own filter."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(SecretFilter())
    root = logging.getLogger()
    names = [None, "openai", "httpx2", "httpcore2", "django.request"]
    before = {name: logging.getLogger(name).level for name in names}
    root.addHandler(handler)
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def everything_stored() -> str:
    """Every row of every table as text, and the database file where there is one."""
    found = []
    with database.cursor() as cursor:
        for table in database.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            found += [repr(row) for row in cursor.fetchall()]
    if database.vendor == "sqlite":
        for ending in ("", "-wal"):
            path = Path(f"{database.settings_dict['NAME']}{ending}")
            found.append(path.read_bytes().decode("latin-1") if path.exists() else "")
    return "\n".join(found)


def dry_run(workspace: Any, connection: Connection) -> RFTJob:
    """A real dry run over the connection, up to its end."""
    run = services.create_run(small_dataset(workspace), "Canary run", by=None)
    splitting.split_run(run, SplitParams(ratio=0.7))
    config = load_preset("label_partial_credit").build(preset_context(run.snapshot))
    services.choose_grader(run, save_grader(workspace, "Labels", config, by=None))
    params = DryRunParams(connection=str(connection.pk), model=openai.CHAT, size=4, answers=2)
    services.start_dry_run(run, params, by=None)
    rung = [str(message.task) for message in OrmQ.objects.all()]
    assert rung
    assert [text for text in rung if CANARY in text] == []
    drain(jump=True)
    return run


def pages(client: Any, run: RFTJob, connection: Connection) -> dict[str, str]:
    paths = [
        reverse("connections:connections"),
        reverse("connections:credentials", args=[connection.pk]),
        reverse("wizard:dry_run", args=[run.pk]),
        reverse("wizard:train", args=[run.pk]),
        reverse("wizard:report", args=[run.pk]),
        reverse("admin:connections_connection_changelist"),
        reverse("admin:connections_connection_change", args=[connection.pk]),
        reverse("admin:connections_auditentry_changelist"),
        reverse("admin:jobs_job_changelist"),
        *(reverse("admin:jobs_job_change", args=[job.pk]) for job in Job.objects.all()),
    ]
    answers = {path: client.get(path, follow=True) for path in paths}
    assert {answer.status_code for answer in answers.values()} == {200}
    return {path: answer.content.decode() for path, answer in answers.items()}


def test_a_key_is_in_no_table_page_log_or_job(workspace, owner, client_of, platform, log):
    User.objects.filter(pk=owner.pk).update(is_staff=True, is_superuser=True)
    client = client_of(owner)
    new = reverse("connections:new_connection", args=["openai"])
    given = {"name": "Canary", "api_key": CANARY, "base_url": platform.url}
    shown = [client.post(new, {**given, "api_key": CANARY + "-typo"}).content.decode()]  # the platform repeats it
    shown.append(client.post(new, given, follow=True).content.decode())
    connection = Connection.objects.get(kind="openai")
    run = dry_run(workspace, connection)
    platform.key = "sk-another"  # from now on the stored key is refused, and repeated in the refusal
    check = client.post(reverse("connections:check", args=[connection.pk]), follow=True)
    shown.append(check.content.decode())
    logging.getLogger("anything").error("call with %s failed", CANARY)
    try:
        raise ValueError(f"bad key {CANARY}")
    except ValueError:
        logging.getLogger("anything").exception("it broke")

    asked = platform.count("POST", "/chat/completions")
    assert Rollout.objects.filter(run=run, error="").count() == 2 * asked > 0  # the dry run really called with it
    assert any(CANARY in headers.get("authorization", "") for headers in platform.headers)
    assert "does not accept the key" in shown[0] and "does not accept the key" in shown[2]
    assert connection.credentials()["api_key"] == CANARY

    assert CANARY not in everything_stored()
    assert [path for path, html in pages(client, run, connection).items() if CANARY in html] == []
    assert [html for html in shown if CANARY in html] == []
    assert "it broke" in log.getvalue()
    assert CANARY not in log.getvalue()


def test_a_key_of_no_known_shape_is_kept_back_as_well(workspace, owner, client_of, platform, log):
    platform.key = SECOND
    client = client_of(owner)
    new = reverse("connections:new_connection", args=["openai"])
    client.post(new, {"name": "Canary", "api_key": SECOND, "base_url": platform.url})
    connection = Connection.objects.get(kind="openai")
    platform.key = "sk-another"
    page = client.post(reverse("connections:check", args=[connection.pk]), follow=True).content.decode()
    assert "does not accept the key" in page
    assert SECOND not in page + log.getvalue()
    assert SECOND not in everything_stored()


def test_what_is_stored_is_really_looked_through(workspace, owner):
    """The search above would find a key that was stored in the clear."""
    Connection.objects.create(workspace=workspace, kind="openai", name="x", sealed="", last_error=f"says {CANARY}")
    assert CANARY in everything_stored()
