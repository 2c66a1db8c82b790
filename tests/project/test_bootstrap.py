from __future__ import annotations

import base64
from pathlib import Path

from cryptography.fernet import Fernet

from rft_project.bootstrap import fresh_settings, write_once


def values(text: str) -> dict[str, str]:
    lines = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, _, value in lines}


def test_the_first_start_writes_secrets_only_the_owner_can_read(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert write_once(path) is True
    assert path.stat().st_mode & 0o777 == 0o600
    found = values(path.read_text())
    secrets = ["SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "ENGINE_KEY"]
    assert list(found) == [*secrets, "ALLOWED_HOSTS", "INSECURE_HTTP", "ALLOWED_PRIVATE_ENDPOINTS"]
    assert len(base64.urlsafe_b64decode(found["FIELD_ENCRYPTION_KEYS"])) == 32
    assert Fernet(found["FIELD_ENCRYPTION_KEYS"])
    assert len(found["SECRET_KEY"]) >= 50


def test_a_second_start_leaves_them_alone(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("SECRET_KEY=mine\n")
    assert write_once(path) is False
    assert path.read_text() == "SECRET_KEY=mine\n"


def test_no_two_installations_share_a_secret() -> None:
    first, second = values(fresh_settings()), values(fresh_settings())
    secret = ["SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "ENGINE_KEY"]
    assert [name for name in secret if first[name] == second[name]] == []
