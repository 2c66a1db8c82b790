"""The few raw system calls the jail needs, by ctypes. Standard library only: the jailed process loads this file."""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38

#: System call numbers that differ between processors (Linux ``unistd.h``); Landlock's are the same everywhere.
SECCOMP_NUMBER = {"x86_64": 317, "aarch64": 277}

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def syscall(number: int, *arguments: object) -> int:
    """Result of a system call. Raises OSError with the kernel's errno, or on anything that is not Linux."""
    if _libc is None:
        raise OSError("not Linux")
    result = int(_libc.syscall(ctypes.c_long(number), *[_word(argument) for argument in arguments]))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def prctl(option: int, value: int) -> None:
    """``prctl(option, value, 0, 0, 0)``. Raises OSError."""
    if _libc is None:
        raise OSError("not Linux")
    words = [ctypes.c_ulong(word) for word in (value, 0, 0, 0)]
    if _libc.prctl(ctypes.c_int(option), *words) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _word(argument: object) -> object:
    return ctypes.c_ulong(argument) if isinstance(argument, int) else argument
