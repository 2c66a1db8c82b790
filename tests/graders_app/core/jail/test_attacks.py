"""Every attack of the table against the jail, with everything an attacker would like already imported."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from graders_app.core.jail import DEFAULT_POLICY, JailReply, Limits, Policy, PythonJail, SourceRefused

from .attacks import FAVOURS, TABLE, Attack
from .conftest import World

PATIENT = Limits(wall_seconds=20, load_seconds=20, memory_bytes=256 << 20)
#: For attacks that have to be stopped by the clock.
BRIEF = Limits(wall_seconds=0.4, load_seconds=0.6, memory_bytes=256 << 20)
#: The jail never lets these libraries be imported; here they are, so that the walls are tested and not the list.
FAVOURABLE = Policy(DEFAULT_POLICY.allowed | set(FAVOURS), preload=FAVOURS)
SAMPLE = {"output_text": "hi", "choices": []}

WORDS = {
    "took longer than": "timeout",
    "system call that is not allowed": "ended: system call",
    "segmentation fault": "ended: crashed",
    "answered out of turn": "ended: out of turn",
    "that is no reply": "ended: no reply",
    "wrote too much": "ended: too much",
    "(code 0)": "ended: code 0",
    "(code 120)": "ended: code 120",
    "without a readable text": "error without text",
}


def outcome(attack: Attack, reply: JailReply) -> str:
    """The reply in the words of the table."""
    if reply.score is not None:
        if attack.id[0] in "DR":
            return f"score {reply.score:g}"
        return "works" if reply.score else "blocked"
    for words, name in WORDS.items():
        if words in reply.error:
            return "stopped" if attack.expected == "stopped" and name in ("timeout", "ended: crashed") else name
    text = reply.error.split(": ", 1)[1] if reply.error.startswith("Line ") else reply.error
    name = text.split(":")[0]
    return "stopped" if attack.expected == "stopped" and name == "MemoryError" else name


def refused(error: SourceRefused) -> str:
    text = str(error)
    for words, name in {"took longer": "timeout", "nested": "nested", "KeyError": "KeyError"}.items():
        if words in text:
            return f"load: {name}"
    return "load: syntax"


def attempt(attack: Attack, item: dict[str, Any]) -> str:
    limits = BRIEF if attack.expected in ("timeout", "stopped", "load: timeout") else PATIENT
    try:
        with PythonJail(attack.source, limits=limits, policy=FAVOURABLE) as jail:
            return outcome(attack, jail.grade(SAMPLE, item))
    except SourceRefused as error:
        return refused(error)


@pytest.mark.parametrize("attack", TABLE, ids=lambda attack: f"{attack.id} {attack.what}")
def test_attack_comes_to_what_the_table_says(attack: Attack, world: World) -> None:
    before = world.state()

    assert attempt(attack, world.targets) == attack.expected

    assert world.state() == before
    assert world.hits == []


CONTROLS = [attack for attack in TABLE if attack.control]
RUN_IT = """
import json, sys
attacks, item = json.load(sys.stdin)
for id, source in attacks:
    scope = {}
    try:
        exec(source, scope)
        print(id, bool(scope["attack"](item)), flush=True)
    except BaseException as error:
        print(id, type(error).__name__, error, flush=True)
"""


def test_attacks_work_without_the_jail(world: World) -> None:
    """Otherwise the table would prove nothing. (Those that would hurt this machine are left out.)"""
    job = json.dumps([[(attack.id, attack.source) for attack in CONTROLS], world.targets])
    try:
        done = subprocess.run([sys.executable, "-c", RUN_IT], input=job, capture_output=True, text=True, check=True)
    finally:
        (world.folder.parent / f"{world.folder.name}-pwned").unlink(missing_ok=True)
        for name in ("pwned", "link"):
            (world.folder / name).unlink(missing_ok=True)
        world.fill()
        world.hits.clear()

    assert done.stdout.splitlines() == [f"{attack.id} True" for attack in CONTROLS]
