from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from rft_project.jobs.processes import Child
from tests.worker import children, still_there, wait_for

SLEEPS = (
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
    "time.sleep(60)"
)


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child("sleeper", [sys.executable, "-c", SLEEPS])
    child.start()
    yield child
    child.kill()


def test_ending_a_child_ends_what_it_started(child: Child) -> None:
    below = wait_for(lambda: children(child.pid))
    child.kill()
    assert child.is_running() is False
    wait_for(lambda: not still_there(below), 5)


def test_a_dead_child_comes_back_after_a_pause_that_grows(child: Child) -> None:
    assert child.revive() is False
    first = child.pid
    below = wait_for(lambda: children(first))
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not child.is_running())
    assert child.revive() is False  # the pause begins
    wait_for(lambda: not still_there(below), 5)  # with nothing left of the dead one
    wait_for(child.revive, 3)
    assert child.is_running() and child.pid != first
    os.kill(child.pid, signal.SIGKILL)
    wait_for(lambda: not child.is_running())
    assert child.revive() is False
    assert child.deaths == 2
    with pytest.raises(AssertionError):
        wait_for(child.revive, 1.5)  # two seconds this time
    wait_for(child.revive, 3)


def test_a_child_ends_with_a_parent_that_is_killed() -> None:
    script = (
        "import sys, time; from rft_project.jobs.processes import Child\n"
        "child = Child('sleeper', [sys.executable, '-c', 'import time; time.sleep(60)'], dies_with_parent=True)\n"
        "child.start(); time.sleep(60)"
    )
    parent = Child("parent", [sys.executable, "-c", script])
    parent.start()
    below = wait_for(lambda: children(parent.pid))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(5)
    wait_for(lambda: not still_there(below), 5)


def test_asking_to_end_is_waited_for() -> None:
    child = Child("polite", [sys.executable, "-c", "import time; time.sleep(60)"])
    assert (child.pid, child.returncode, child.is_running(), child.wait(1)) == (0, None, False, True)
    child.start()
    assert child.wait(0.1) is False
    child.terminate()
    assert child.wait(5) is True
    assert child.returncode == -signal.SIGTERM
