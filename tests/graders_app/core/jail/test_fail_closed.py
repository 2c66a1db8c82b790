"""Where the machine lacks a wall, no python grader runs: told in a sentence, and before its source is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from graders_app.core.jail import JailUnavailable, PythonJail, Support, probe, worker

ROOT = Path(__file__).resolve().parents[4]
SOURCE = "def grade(sample, item):\n    return 1.0\n"
FINE = Support("linux", "x86_64", landlock_abi=1, seccomp=True, available_bytes=8 << 30)


@pytest.mark.parametrize(
    ("support", "reason"),
    [
        (replace(FINE, system="darwin"), "they need Linux and this server runs darwin"),
        (replace(FINE, machine="riscv64"), "there is no system call list for riscv64 processors"),
        (replace(FINE, landlock_abi=0), "its kernel has no Landlock, use Linux 5.13 or later with Landlock enabled"),
        (replace(FINE, seccomp=False), "its kernel or container does not allow seccomp filters"),
        (replace(FINE, backend="off"), "GRADER_BACKEND is set to off, ask who runs it to set it to jail"),
        (replace(FINE, backend="wasm"), "GRADER_BACKEND is set to wasm, ask who runs it to set it to jail"),
        (replace(FINE, available_bytes=200 << 20), "200 MB of memory are free and a grader may need 512 MB"),
    ],
)
def test_each_missing_feature_is_named(support, reason):
    with pytest.raises(JailUnavailable) as refusal:
        PythonJail(SOURCE, support=support)

    assert str(refusal.value) == f"Python graders are off on this server: {reason}."


def test_this_machine_is_described_truthfully():
    found = probe()

    assert (found.system, found.machine) == (sys.platform, os.uname().machine)
    assert (found.available_bytes or 0) > 64 << 20


#: Runs with a filter that makes system calls fail, as on an older kernel. The jailed process inherits it.
UNDER = """
import json, sys
from graders_app.core.jail import JailUnavailable, PythonJail, Support, kernel, probe, seccomp
numbers, code, trust, marker = json.load(sys.stdin)
support = Support("linux", "x86_64", 7, True) if trust else None
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
seccomp.install(seccomp.errno_for(tuple(numbers), code), "x86_64")
source = "import os\\nos.mkdir(%r)\\ndef grade(sample, item):\\n    return 1.0\\n" % marker
try:
    PythonJail(source, support=support).open()
    print("RUNNING")
except JailUnavailable as refusal:
    print(refusal)
"""
ENOSYS, EPERM, SUCCESS = 38, 1, 0
LANDLOCK, SECCOMP = (444, 445, 446), (317,)
SETRESUID, SETRESGID, RESTRICT_SELF, PRLIMIT = (117,), (119,), (446,), (160, 302)
OFF = "Python graders are off on this server: "
no_machine = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are x86-64's")
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root changes its user")


@no_machine
@pytest.mark.parametrize(
    ("numbers", "code", "trust", "answer"),
    [
        (LANDLOCK, ENOSYS, False, "its kernel has no Landlock, use Linux 5.13 or later with Landlock enabled"),
        (SECCOMP, ENOSYS, False, "its kernel or container does not allow seccomp filters"),
        # our own look at the machine says all is well; the jailed process does not believe it
        (LANDLOCK, ENOSYS, True, "the kernel has no Landlock (Linux 5.13 or later, with Landlock enabled)"),
        (SECCOMP, ENOSYS, True, "the sandbox could not be set up (OSError: [Errno 38] Function not implemented)"),
        (PRLIMIT, EPERM, True, "the sandbox could not be set up (ValueError: not allowed to raise maximum limit)"),
        # a kernel that says yes and does nothing
        (RESTRICT_SELF, SUCCESS, True, "the sandbox does not hold: files can be read"),
        (SECCOMP, SUCCESS, True, "the sandbox does not hold: a socket can be opened"),
        pytest.param(
            SETRESUID,
            EPERM,
            True,
            "the server runs as root and cannot change to another user (Operation not permitted)",
            marks=as_root,
        ),
        pytest.param(
            SETRESGID, SUCCESS, True, "the server runs as root and cannot change to another user", marks=as_root
        ),
    ],
)
def test_a_wall_that_cannot_be_put_up_means_no_grader(numbers, code, trust, answer, tmp_path):
    marker = tmp_path / "ran"
    job = json.dumps([numbers, code, trust, str(marker)])
    done = subprocess.run(
        [sys.executable, "-c", UNDER], cwd=ROOT, input=job, capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == f"{OFF}{answer}."
    assert not marker.exists()


SYSTEM_PYTHON = Path("/usr/bin/python3")


@pytest.mark.skipif(os.getuid() != 0 or not SYSTEM_PYTHON.exists(), reason="needs root and a python for everybody")
def test_the_child_locks_itself_without_being_root_too():
    """By hand, as another user with the system's interpreter: the way it runs on an ordinary server."""
    plan = {"modules": [], "touch": [], "memory_bytes": 64 << 20, "parent": os.getpid()}
    source = "def grade(sample, item):\n    return float('root' in open('/etc/passwd').read())\n"
    lines = [plan, {"source": source}, {"id": 1, "sample": {}, "item": {}}]
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        for name in ("child.py", "kernel.py", "landlock.py", "seccomp.py"):
            (Path(folder) / name).write_text((worker.CHILD.parent / name).read_text())
        done = subprocess.run(
            [SYSTEM_PYTHON, "-I", "-B", f"{folder}/child.py"],
            input=b"".join(json.dumps(line).encode() + b"\n" for line in lines),
            stdout=subprocess.PIPE,
            user=65534,
            group=65534,
            extra_groups=[],
            timeout=30,
        )

    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"locked": True},
        {"ready": True},
        {"id": 1, "error": "PermissionError: [Errno 13] Permission denied: '/etc/passwd'", "line": 2},
    ]
