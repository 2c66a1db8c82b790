"""What every test may use: three people, a signed-in client for each, a free port. No test reaches another machine."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.db import connections
from django.test import Client

from rft_project.connections.models import Membership, Workspace
from tests import worker


class NetworkUsed(BaseException):
    """A test tried to reach another machine. Not an Exception, so that no error handling can hide it."""


def _refuse_beyond_loopback(host: object) -> None:
    name = host.decode() if isinstance(host, bytes) else str(host or "localhost")
    try:
        inside = ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        inside = name in ("localhost", socket.gethostname())
    if not inside:
        raise NetworkUsed(f"a test tried to reach {name}")


class LoopbackSocket(socket.socket):
    """Every socket of the test process: unix sockets and loopback addresses only."""

    def connect(self, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse_beyond_loopback(address[0])
        super().connect(address)

    def connect_ex(self, address: Any) -> int:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse_beyond_loopback(address[0])
        return super().connect_ex(address)


_look_up = socket.getaddrinfo


def _look_up_here(host: Any, *args: Any, **kwargs: Any) -> Any:
    if host:
        _refuse_beyond_loopback(host)
    return _look_up(host, *args, **kwargs)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "database: uses the database (set by itself); these run on PostgreSQL too")
    socket.socket = LoopbackSocket  # type: ignore[misc]
    socket.getaddrinfo = _look_up_here


def pytest_unconfigure(config: pytest.Config) -> None:
    scratch = Path(os.environ.get("RFT_TEST_DIR", ""))
    if "PYTEST_XDIST_WORKER" not in os.environ and scratch.name.startswith("rft-tests-"):
        shutil.rmtree(scratch, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    on_postgres = settings.DATABASES["default"]["ENGINE"].endswith("postgresql")
    for item in items:
        names = getattr(item, "fixturenames", ())
        if item.get_closest_marker("django_db") or {"db", "transactional_db", "live_server"} & set(names):
            item.add_marker(pytest.mark.database)
        if item.get_closest_marker("postgres") and not on_postgres:
            item.add_marker(pytest.mark.skip(reason="needs PostgreSQL: python -m tests.postgres -- pytest …"))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """SQLite as a file, as in production: worker processes and threads then see the same database."""
    database = connections["default"].settings_dict
    if database["ENGINE"].endswith("sqlite3"):
        name = f"test-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}-{os.getpid()}.sqlite3"
        database["TEST"]["NAME"] = str(Path(os.environ["RFT_TEST_DIR"]) / name)


@pytest.fixture
def workspace(db: None) -> Workspace:
    return Workspace.objects.create(name="Support desk")


def _person(name: str, workspace: Workspace, role: str) -> AbstractUser:
    person = get_user_model().objects.create_user(name, password=f"{name}'s long password")
    Membership.objects.create(workspace=workspace, user=person, role=role)
    return person


@pytest.fixture
def owner(workspace: Workspace) -> AbstractUser:
    return _person("owner", workspace, "owner")


@pytest.fixture
def colleague(workspace: Workspace) -> AbstractUser:
    """A member of the owner's workspace."""
    return _person("colleague", workspace, "member")


@pytest.fixture
def stranger(db: None) -> AbstractUser:
    """Somebody with a workspace of his own and no part in ours."""
    return _person("stranger", Workspace.objects.create(name="Elsewhere"), "owner")


@pytest.fixture
def client_of() -> Callable[[AbstractUser], Client]:
    """``client_of(person)``: a client that is signed in."""

    def sign_in(person: AbstractUser) -> Client:
        client = Client()
        client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return sign_in


@pytest.fixture
def free_port() -> int:
    return worker.free_port()


@pytest.fixture
def worker_cluster(transactional_db: None) -> Iterator[Callable[..., worker.WorkerProcess]]:
    """``worker_cluster(...)`` starts a real ``run_worker`` on the test database; all are ended after the test."""
    started: list[worker.WorkerProcess] = []

    def start(*arguments: str, **kwargs: Any) -> worker.WorkerProcess:
        started.append(worker.WorkerProcess(*arguments, **kwargs))
        return started[-1]

    yield start
    for process in started:
        process.kill()
