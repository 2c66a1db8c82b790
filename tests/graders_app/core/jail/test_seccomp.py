"""The filter's verdicts for both processors, worked out by a small interpreter of its language, without a kernel."""

from __future__ import annotations

import errno

import pytest

from graders_app.core.jail import kernel, landlock, seccomp

ALLOW, REFUSE, KILL, MISSING = "allow", "EPERM", "kill", "ENOSYS"
PID = 4242
OWN = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def verdict(machine: str, number: int, *arguments: int, architecture: int | None = None) -> str:
    """What the filter says of a call, read off ``struct seccomp_data`` as the kernel lays it out."""
    words = {0: number, 4: OWN[machine] if architecture is None else architecture}
    for index, value in enumerate(arguments):
        words[16 + 8 * index], words[20 + 8 * index] = value & 0xFFFFFFFF, value >> 32
    program = seccomp.build(machine, PID)
    at, value = 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x20:
            value = words.get(operand, 0)
        elif code == 0x06:
            break
        else:
            test = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[code]
            at += if_true if test else if_false
    if operand == 0x7FFF0000:
        return ALLOW
    if operand == 0x80000000:
        return KILL
    assert operand >> 16 == 5
    return errno.errorcode[operand & 0xFFFF]


CASES = [
    # what a grader needs
    ("read", (0, 63), (), ALLOW),
    ("write", (1, 64), (), ALLOW),
    ("openat", (257, 56), (), ALLOW),
    ("futex", (202, 98), (), ALLOW),
    ("memory", (9, 222), (0, 4096, 3), ALLOW),
    ("thread", (56, 220), (0x3D0F00,), ALLOW),
    ("close on exec", (72, 25), (5, 2, 1), ALLOW),
    ("read a limit", (302, 261), (0, 9, 0), ALLOW),
    ("signal to itself", (234, 131), (PID, PID, 6), ALLOW),
    ("terminal?", (16, 29), (1, 0x5401), ALLOW),
    # what it tries by mistake
    ("socket", (41, 198), (), REFUSE),
    ("connect", (42, 203), (), REFUSE),
    ("run a program", (59, 221), (), REFUSE),
    ("run a program by descriptor", (322, 281), (), REFUSE),
    ("fork", (56, 220), (17,), REFUSE),
    ("delete", (263, 35), (), REFUSE),
    ("rename", (316, 276), (), REFUSE),
    ("link to itself in /proc", (267, 78), (), REFUSE),
    ("truncate", (76, 45), (), REFUSE),
    ("kill", (62, 129), (), REFUSE),
    ("memory file", (319, 279), (), REFUSE),
    ("prctl", (157, 167), (), REFUSE),
    ("executable memory", (9, 222), (0, 4096, 7), REFUSE),
    ("make memory executable", (10, 226), (0, 4096, 5), REFUSE),
    ("own the signals of a pipe", (72, 25), (0, 8, 1), REFUSE),
    ("choose the signal of a pipe", (72, 25), (0, 10, 23), REFUSE),
    ("flags of a pipe", (72, 25), (0, 4, 0x2000), REFUSE),
    ("set a limit", (302, 261), (0, 9, 0x1000), REFUSE),
    ("set a limit, pointer above 4 GB", (302, 261), (0, 9, 0x7F0000000000), REFUSE),
    ("signal another process", (234, 131), (1, 1, 9), REFUSE),
    ("push characters into a terminal", (16, 29), (0, 0x5412), REFUSE),
    ("clone3", (435, 435), (), MISSING),
    # what only an attack tries
    ("ptrace", (101, 117), (), KILL),
    ("read another process", (310, 270), (), KILL),
    ("io_uring", (425, 425), (), KILL),
    ("bpf", (321, 280), (), KILL),
    ("namespaces", (272, 97), (), KILL),
    ("mount", (165, 40), (), KILL),
    ("keys", (250, 219), (), KILL),
    ("load a kernel module", (313, 273), (), KILL),
    ("userfaultfd", (323, 282), (), KILL),
    ("a call of tomorrow", (600, 600), (), KILL),
]


@pytest.mark.parametrize("index", [0, 1], ids=["x86_64", "aarch64"])
@pytest.mark.parametrize(("what", "numbers", "arguments", "expected"), CASES, ids=[case[0] for case in CASES])
def test_verdict(index, what, numbers, arguments, expected):
    assert verdict(("x86_64", "aarch64")[index], numbers[index], *arguments) == expected


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_calls_of_another_architecture_kill(machine):
    assert verdict(machine, 1, architecture=0x40000003) == KILL


def test_x32_calls_kill():
    assert verdict("x86_64", 0x40000000 + 1) == KILL


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_no_call_is_in_two_lists(machine):
    allowed, guarded = set(seccomp.ALLOWED[machine].values()), set(seccomp.GUARDED[machine].values())
    refused = set(seccomp.REFUSED[machine])

    assert (allowed & guarded, allowed & refused, guarded & refused) == (set(), set(), set())


def test_an_unknown_processor_has_no_filter():
    with pytest.raises(KeyError):
        seccomp.build("riscv64", PID)


def test_a_refused_call_is_an_oserror_with_the_kernels_reason():
    with pytest.raises(OSError, match="Bad file descriptor"):
        kernel.syscall(landlock.RESTRICT_SELF, 999, 0)
    with pytest.raises(OSError, match="Invalid argument"):
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 7)
