"""What ``manage.py check --deploy`` says of the sandbox, and what switching it off does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graders_app.checks import python_graders
from graders_app.core.jail import JailReply, JailUnavailable, PythonJail
from graders_app.core.jail.canary import ATTACKS, got_out

ROOT = Path(__file__).resolve().parents[2]
REFUSED = [*[JailReply(None, "Line 6: PermissionError: [Errno 13] Permission denied")] * 5]
REFUSED += [JailReply(None, "The grader took longer than 2 s and was stopped.")]


def test_the_sandbox_of_this_machine_holds() -> None:
    assert python_graders(None) == []


@pytest.mark.parametrize("place", range(len(ATTACKS)), ids=list(ATTACKS))
@pytest.mark.parametrize("reply", [JailReply(1.0), JailReply(None, "Line 6: FileNotFoundError: no such file")])
def test_an_attack_that_is_not_refused_is_named(place: int, reply: JailReply) -> None:
    replies = [*REFUSED[:place], reply, *REFUSED[place + 1 :]]

    assert got_out(REFUSED) == []
    assert got_out(replies) == [list(ATTACKS.values())[place]]


def test_switched_off_no_python_grader_runs_and_nothing_is_tried(monkeypatch: Any, settings: Any) -> None:
    monkeypatch.setenv("GRADER_BACKEND", "off")
    off = "Python graders are off on this server: GRADER_BACKEND is set to off, ask who runs it to set it to jail."

    assert [(error.id, error.msg) for error in python_graders(None)] == [("rft.E005", off)]
    settings.GRADER_BACKEND = "off"
    assert python_graders(None) == []
    with pytest.raises(JailUnavailable) as refusal:
        PythonJail("def grade(sample, item):\n    return 1.0\n").open()
    assert str(refusal.value) == off


def test_a_wrong_setting_fails_the_start_with_a_sentence() -> None:
    environment = os.environ | {"GRADER_BACKEND": "none", "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-c", "import tests.settings"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

    assert done.stderr.splitlines()[-1].endswith("GRADER_BACKEND must be jail or off, not 'none'.")
