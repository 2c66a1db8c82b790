"""The product started as in production: nothing to complain about, and no start with a setting missing or wrong."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from rft_project.connections.sealing import new_key

ROOT = Path(__file__).resolve().parent.parent.parent


def manage(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """``manage.py`` with exactly these settings; an empty one counts as missing and hides what a .env may say."""
    environment = {
        "PATH": os.environ["PATH"],
        "DATA_DIR": str(folder / "data"),
        "SECRET_KEY": secrets.token_urlsafe(50),
        "FIELD_ENCRYPTION_KEYS": new_key(),
        "ALLOWED_HOSTS": "studio.example.org",
        "DATABASE_URL": f"sqlite:///{folder / 'studio.sqlite3'}",
        "DEBUG": "0",
        "INSECURE_HTTP": "0",
        "LOG_LEVEL": "INFO",
        "ENGINE_URL": "http://127.0.0.1:8765/v1",
        **settings,
    }
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def test_djangos_deployment_checks_have_nothing_to_complain_about(tmp_path):
    done = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING")
    assert (done.returncode, done.stdout) == (0, "System check identified no issues (0 silenced).\n"), done.stderr


def test_the_checks_do_complain_where_cookies_may_travel_in_the_clear(tmp_path):
    done = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", INSECURE_HTTP="1")
    assert done.returncode == 1
    for warning in ("security.W004", "security.W008", "security.W012", "security.W016"):
        assert warning in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("FIELD_ENCRYPTION_KEYS", ""),
        ("FIELD_ENCRYPTION_KEYS", "short"),
        ("FIELD_ENCRYPTION_KEYS", "not base64 ä"),
        ("ALLOWED_HOSTS", ""),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "postgres://h:port/name"),
        ("DATABASE_URL", "mysql://user:secret-word@db/name"),
        ("DEBUG", "maybe"),
        ("Q_WORKERS", "0"),
        ("Q_WORKERS", "two"),
        ("DATA_DIR", "/proc/nowhere"),
        ("SECRET_KEY_FILE", "/nowhere/secret"),
    ],
)
def test_a_start_with_a_missing_or_wrong_setting_is_refused_in_one_sentence(tmp_path, name, value):
    done = manage(tmp_path, "migrate", **{name: value})
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines), done.stdout) == (2, 1, "")
    assert name in lines[0]
    assert lines[0].endswith(".")
    assert "secret-word" not in lines[0]


def test_every_command_refuses_alike(tmp_path):
    for command in ("check", "run_worker", "start"):
        done = manage(tmp_path, command, SECRET_KEY="")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "SECRET_KEY" in done.stderr
