"""Six attacks that every server runs on its own jail: a wall that is said to be there and is not lets one through."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .host import JailReply, Limits, PythonJail
from .imports import DEFAULT_POLICY, Policy

#: ``socket`` is not in the library list; here it is loaded, so that the wall is tried and not the list.
_POLICY = Policy(DEFAULT_POLICY.allowed | {"socket"}, preload=("socket",))
_SOURCE = """\
import os, socket

def grade(sample, item):
    attack = item["attack"]
    if attack == "read":
        open("/etc/passwd").close()
    elif attack == "write":
        open(item["file"], "w").close()
    elif attack == "environment":
        open("/proc/%d/environ" % item["parent"]).close()
    elif attack == "network":
        socket.socket().close()
    elif attack == "program":
        os.posix_spawn("/bin/true", ["true"], {})
    while attack == "loop":
        pass
    return 1.0
"""
ATTACKS = {
    "read": "it can read files of the server",
    "write": "it can write files",
    "environment": "it can reach the memory and the settings of the process that started it",
    "network": "it can open a network connection",
    "program": "it can start programs",
    "loop": "a grader that never ends is not stopped",
}
LIMITS = Limits(wall_seconds=2.0)


def attacks_that_worked() -> list[str]:
    """A sentence's end for each attack that was not stopped in the way it must be; [] where the jail holds.

    Takes about two seconds, since the last attack is stopped by the clock. Raises JailUnavailable.
    """
    with tempfile.TemporaryDirectory() as folder, PythonJail(_SOURCE, limits=LIMITS, policy=_POLICY) as jail:
        Path(folder).chmod(0o777)  # what is refused is refused by the jail, not by the folder's mode
        item = {"file": f"{folder}/canary", "parent": os.getpid()}
        replies = jail.grade_many([({}, {**item, "attack": attack}) for attack in ATTACKS])
    return got_out(replies)


def got_out(replies: Sequence[JailReply]) -> list[str]:
    """The ends of sentences of the attacks whose reply, in the order of ``ATTACKS``, shows no refusal.

    Only the kernel's refusal counts (for the loop: our clock); an attack that failed by chance proves nothing.
    """
    expected = {attack: "took longer" if attack == "loop" else "PermissionError" for attack in ATTACKS}
    pairs = zip(expected.items(), replies, strict=True)
    return [ATTACKS[attack] for (attack, refusal), reply in pairs if refusal not in reply.error]
