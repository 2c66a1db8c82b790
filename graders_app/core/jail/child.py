"""The jailed process: ``python -I -B child.py``. Standard library only; speaks JSON lines over stdin and stdout.

1. The first line in is the plan (modules to import, limits, the parent's pid). Everything is imported while the
   interpreter's files can still be read: as root that may be the last moment, since the process then becomes nobody.
2. The process locks itself (identity, Landlock, limits, seccomp), tries what must not work, and answers ``locked``.
   Whatever is missing, it answers ``unavailable`` with a sentence and ends: it has not seen the grader yet.
3. Only then comes the source. It answers ``ready`` or ``refused``, and from then on one line per sample.

The grader shares this process with this file, so nothing here is a secret and no reply is to be trusted; the walls
are the kernel's. What we use after the source has run is bound to local names before, so that a grader which patches
``json`` or ``sys`` by accident does not break its own replies.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import platform
import resource
import sys
import sysconfig
import types
from collections.abc import Callable
from numbers import Real
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

FILE_NAME = "<grader>"
NOBODY = 65534
AF_INET, SOCK_STREAM = 2, 1
MAX_LINE = 64 << 20
MAX_ERROR_CHARS = 500
CPU_BACKSTOP = 24 * 3600  # seconds; the parent's wall clock is the limit that matters


class Unavailable(Exception):
    """The machine lacks something; the text is shown to people."""


def main() -> None:
    """Boot, lock, load, grade until stdin closes."""
    replies = _take_stdout()
    plan = json.loads(sys.stdin.buffer.readline(MAX_LINE))
    try:
        _preload(plan["modules"], plan["touch"])
        _lock(plan)
    except Unavailable as problem:
        _finish(replies, {"unavailable": str(problem)})
    except Exception as problem:  # a wall that cannot be put up, whatever the reason, means no grader
        _finish(replies, {"unavailable": f"the sandbox could not be set up ({type(problem).__name__}: {problem})"})
    _send(replies, {"locked": True})
    source = json.loads(sys.stdin.buffer.readline(MAX_LINE))["source"]
    _serve(source, sys.stdin.buffer, replies)


def _take_stdout() -> BinaryIO:
    """The reply pipe under a new number; 1 and 2 lead nowhere, so that prints are swallowed."""
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.closerange(3, replies.fileno())
    os.closerange(replies.fileno() + 1, 256)
    return replies


def _send(replies: BinaryIO, message: dict[str, Any]) -> None:
    replies.write(json.dumps(message).encode() + b"\n")


def _finish(replies: BinaryIO, message: dict[str, Any]) -> NoReturn:
    _send(replies, message)
    os._exit(0)


# -- before the walls ------------------------------------------------------------------------------------------


def _preload(modules: list[str], touch: list[str]) -> None:
    """Import ``modules``; walk ``touch`` (``numpy.random``) so that libraries that load lazily load now."""
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as problem:
            raise Unavailable(f"the library {name} cannot be imported on this server ({problem})") from None
    for path in touch:
        _touch(path)


def _touch(path: str) -> None:
    first, *rest = path.split(".")
    value: Any = sys.modules.get(first)
    for at, step in enumerate(rest, 2):
        if not isinstance(value, types.ModuleType):
            return
        try:
            value = getattr(value, step)
        except AttributeError:
            try:
                value = importlib.import_module(".".join([first, *rest][:at]))
            except Exception:  # a name that does not exist is the grader's mistake, told when it runs
                return


def _readable_paths() -> list[str]:
    folders = [sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return [*dict.fromkeys(folders), "/usr/share/zoneinfo"]


# -- the walls -------------------------------------------------------------------------------------------------


def _walls() -> tuple[Any, Any, Any]:
    """Our neighbours ``kernel``, ``landlock``, ``seccomp``, as a package that needs nothing of the rest of the app."""
    package = types.ModuleType("jail")
    package.__path__ = [str(Path(__file__).resolve().parent)]
    sys.modules["jail"] = package
    kernel, landlock, seccomp = (importlib.import_module(f"jail.{name}") for name in ("kernel", "landlock", "seccomp"))
    return kernel, landlock, seccomp


def _lock(plan: dict[str, Any]) -> None:
    machine = platform.machine()
    if sys.platform != "linux":
        raise Unavailable("python graders need Linux")
    kernel, landlock, seccomp = _walls()
    if landlock.abi() < 1:
        raise Unavailable("the kernel has no Landlock (Linux 5.13 or later, with Landlock enabled)")
    if machine not in seccomp.AUDIT_ARCH:
        raise Unavailable(f"there is no system call list for {machine} processors")
    os.umask(0o077)
    os.chdir("/")
    readable = _readable_paths()
    address_space = _address_space()  # /proc is out of reach in a moment
    if os.geteuid() == 0:
        _become_nobody()
    kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)  # after the change of user, which clears it
    if os.getppid() != plan["parent"]:
        raise Unavailable("the process that asked for the grader is gone")
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    os.environ.clear()
    landlock.restrict(readable)
    _limit(address_space + int(plan["memory_bytes"]))
    seccomp.install(seccomp.build(machine, os.getpid()), machine)
    _try_the_walls(lambda: kernel.syscall(seccomp.SOCKET[machine], AF_INET, SOCK_STREAM, 0))


def _become_nobody() -> None:
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError as problem:
        raise Unavailable(f"the server runs as root and cannot change to another user ({problem.strerror})") from None
    if os.getresuid() != (NOBODY, NOBODY, NOBODY) or os.getresgid() != (NOBODY, NOBODY, NOBODY):
        raise Unavailable("the server runs as root and cannot change to another user")


def _address_space() -> int:
    """Bytes the interpreter and its libraries take now."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        raise Unavailable("/proc is not mounted, so memory cannot be limited") from None


def _limit(address_space: int) -> None:
    for what, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_CPU, CPU_BACKSTOP),
        (resource.RLIMIT_AS, address_space),
    ):
        resource.setrlimit(what, (value, value))


def _try_the_walls(open_socket: Callable[[], Any]) -> None:
    """A filter that is in place but does not hold is as bad as none."""
    attempts: dict[str, Callable[[], Any]] = {
        "files can be read": lambda: os.open("/etc", os.O_RDONLY),
        "a socket can be opened": open_socket,
        "a process can be started": lambda: os.execv("/bin/false", ["false"]),
    }
    for sentence, attempt in attempts.items():
        try:
            attempt()
        except OSError as problem:
            if problem.errno in (errno.EPERM, errno.EACCES):
                continue
        raise Unavailable(f"the sandbox does not hold: {sentence}")


# -- the grader ------------------------------------------------------------------------------------------------


def _serve(source: str, requests: BinaryIO, replies: BinaryIO) -> None:
    dumps, loads, write, readline = json.dumps, json.loads, replies.write, requests.readline
    namespace: dict[str, Any] = {"__name__": "grader"}
    try:
        exec(compile(source, FILE_NAME, "exec", dont_inherit=True), namespace)
        grade = namespace["grade"]
        if not callable(grade):
            raise TypeError("grade is not a function")
    except BaseException as problem:
        write(dumps({"refused": _explain(problem), "line": _line(problem)}).encode() + b"\n")
        return
    write(dumps({"ready": True}).encode() + b"\n")
    while line := readline(MAX_LINE):
        request = loads(line)
        reply: dict[str, Any] = {"id": request["id"]}
        try:
            reply["score"] = _number(grade(request["sample"], request["item"]))
        except MemoryError:
            reply["error"] = "MemoryError: the grader used more memory than it may"
        except BaseException as problem:
            reply["error"] = _explain(problem)
            reply["line"] = _line(problem)
        write(dumps(reply).encode() + b"\n")


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        hint = ", write float(...) around it" if isinstance(value, bool) else ""
        raise TypeError(f"grade must return a number, not {type(value).__name__}{hint}")
    number = float(value)
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError(f"grade returned {number}, which is not a finite number")
    return number


def _explain(problem: BaseException) -> str:
    """``KeyError: 'label'``; an exception whose own text fails is named by its type."""
    try:
        kind = type(problem).__name__
        text = str(problem)[:MAX_ERROR_CHARS]
        return f"{kind}: {text}"[:MAX_ERROR_CHARS] if text else kind[:MAX_ERROR_CHARS]
    except BaseException:
        return "an error without a readable text"


def _line(problem: BaseException) -> int | None:
    """Line of the grader's own source that failed, the innermost one."""
    if isinstance(problem, SyntaxError):
        return problem.lineno
    found = None
    trace = problem.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE_NAME:
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


if __name__ == "__main__":
    main()
