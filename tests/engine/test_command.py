"""``manage.py engine`` and ``python -m rft_project.engine`` from a shell."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.engine.process import ROOT, Engine


def manage(folder: Path, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "rft_project.settings", "DATA_DIR": str(folder), **more}
    command = [sys.executable, str(ROOT / "manage.py"), "engine", *arguments]
    return subprocess.Popen(command, env=environment, cwd=folder, stderr=subprocess.PIPE)


def test_the_command_becomes_the_engine(tmp_path: Path) -> None:
    engine = Engine(tmp_path, key="from-the-environment")
    engine.process = manage(tmp_path, "--port", str(engine.port), ENGINE_KEY=engine.key)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and engine.process.poll() is None:
        try:
            assert engine.request("GET", "/v1/models")[0] == 200
            break
        except OSError:
            time.sleep(0.1)
    assert engine.request("GET", "/v1/models", headers={"Authorization": "Bearer no"})[0] == 401
    words = Path(f"/proc/{engine.process.pid}/cmdline").read_bytes().split(b"\0")
    assert b"rft_project.engine" in words
    assert (tmp_path / "engine" / "engine.sqlite3").is_file()
    assert engine.stop() == 0
    engine.process.stderr.close()


def test_a_start_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    process = manage(tmp_path, "--host", "0.0.0.0", ENGINE_KEY="")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.decode().splitlines()[-1] == (
        "To listen on 0.0.0.0, set ENGINE_KEY: without a key the engine serves its own machine only."
    )


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    first = Engine(tmp_path).start()
    process = manage(other, "--port", str(first.port), ENGINE_KEY="")
    _, errors = process.communicate(timeout=60)
    assert first.stop() == 0
    assert process.returncode == 2
    assert errors.decode().splitlines()[-1].startswith(f"Port {first.port} on 127.0.0.1 can't be used: ")
