"""Throw-away databases with our tables: SQLite files and one PostgreSQL server of our own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg

from tests import postgres
from tests.bench.contest import ROOT


class Database:
    """One kind of database. ``fresh()`` gives the environment of a process that works on a new, migrated one."""

    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made = 0

    @contextmanager
    def fresh(self) -> Iterator[dict[str, str]]:
        self.made += 1
        home = self.folder / f"{self.name.lower()}-{self.made}"
        home.mkdir(parents=True)
        try:
            with self._database(home) as environment:
                yield environment | {"DJANGO_SETTINGS_MODULE": "tests.bench.settings", "RFT_TEST_DIR": str(home)}
        finally:
            shutil.rmtree(home, ignore_errors=True)

    @contextmanager
    def _database(self, home: Path) -> Iterator[dict[str, str]]:
        template = self.folder / "template.sqlite3"
        if not template.exists():
            _migrate({"DATABASE_URL": f"sqlite:///{template}", "RFT_TEST_DIR": str(self.folder)})
        shutil.copy(template, home / "studio.sqlite3")
        yield {"DATABASE_URL": f"sqlite:///{home / 'studio.sqlite3'}"}


class PostgreSQL(Database):
    name = "PostgreSQL"

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        self.url = url
        self.socket = unquote(urlsplit(url).netloc.rpartition("@")[2])
        self.pid = int((Path(self.socket) / "data" / "postmaster.pid").read_text().split()[0])
        self.migrated = False

    @contextmanager
    def _database(self, home: Path) -> Iterator[dict[str, str]]:
        if not self.migrated:
            self._run("CREATE DATABASE template_of_ours")
            _migrate({"DATABASE_URL": self._url_of("template_of_ours"), "RFT_TEST_DIR": str(self.folder)})
            self.migrated = True
        name = f"bench_{self.made}"
        self._run(f"CREATE DATABASE {name} TEMPLATE template_of_ours")
        try:
            yield {"DATABASE_URL": self._url_of(name), "BENCH_SERVER_PID": str(self.pid)}
        finally:
            self._run(f"DROP DATABASE {name} WITH (FORCE)")

    def _url_of(self, name: str) -> str:
        return self.url.rpartition("/")[0] + f"/{name}"

    def _run(self, sql: str) -> None:
        with psycopg.connect(host=self.socket, user="studio", dbname="postgres", autocommit=True) as connection:
            connection.execute(sql)  # type: ignore[call-overload]


@contextmanager
def databases(folder: Path) -> Iterator[list[Database]]:
    """SQLite, and PostgreSQL where this machine has one."""
    found = [Database(folder)]
    with suppress(postgres.NoPostgres), postgres.server() as url:
        yield [*found, PostgreSQL(folder, url)]
        return
    yield found


def _migrate(environment: dict[str, str]) -> None:
    argv = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(
        argv, cwd=ROOT, env={**os.environ, **environment, "DJANGO_SETTINGS_MODULE": "tests.bench.settings"}, check=True
    )
