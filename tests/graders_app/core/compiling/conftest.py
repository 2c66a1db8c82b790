"""Compiled graders are run where nothing of ours can be imported: ``python -I -S`` has the standard library alone."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

INVOKE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from lambda_function import lambda_handler
answers = [lambda_handler(event, None) for event in json.load(sys.stdin)]
print("ANSWERS " + json.dumps(answers, allow_nan=False))
"""


@pytest.fixture
def invoke(tmp_path):
    """``invoke(zip, *events)`` -> (answer of each event, lines of the log)."""

    def run(data: bytes, *events, environment=None, site=False) -> tuple[list, list[dict]]:
        folder = tmp_path / "function"
        zipfile.ZipFile(io.BytesIO(data)).extractall(folder)
        flags = ["-I"] if site else ["-I", "-S"]
        done = subprocess.run(
            [sys.executable, *flags, "-c", INVOKE, str(folder)],
            input=json.dumps(events), capture_output=True, text=True, cwd=tmp_path, env=environment or {}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        *log, answered = done.stdout.splitlines()
        return json.loads(answered.removeprefix("ANSWERS ")), [json.loads(line) for line in log]

    return run


def run_file(path: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", str(path), *arguments]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, encoding="utf-8", env={"PYTHONUTF8": "1"}, check=False
    )
