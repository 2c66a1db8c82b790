"""Seccomp: an allow-list of system calls, as classic BPF.

What ordinary code tries by mistake (sockets, files, processes) answers EPERM, so the author reads ``PermissionError``;
what only an attack would try kills the process. Numbers: ``asm/unistd_64.h`` (x86-64) and ``asm-generic/unistd.h``
(aarch64; written from the table, not run by us). Standard library only: the jailed process loads this file.
"""

from __future__ import annotations

import ctypes
import errno
import struct

from . import kernel

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

ALLOWED: dict[str, dict[str, int]] = {
    "x86_64": {
        "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8,
        "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "pread64": 17,
        "readv": 19, "writev": 20, "access": 21, "sched_yield": 24, "mremap": 25, "madvise": 28, "dup": 32, "dup2": 33,
        "nanosleep": 35, "getitimer": 36, "setitimer": 38, "getpid": 39, "exit": 60, "uname": 63, "getcwd": 79,
        "gettimeofday": 96, "getrlimit": 97, "getrusage": 98, "sysinfo": 99, "times": 100, "getuid": 102,
        "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110, "sigaltstack": 131, "gettid": 186, "futex": 202,
        "sched_getaffinity": 204, "getdents64": 217, "restart_syscall": 219, "clock_gettime": 228,
        "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "epoll_wait": 232, "openat": 257,
        "newfstatat": 262, "faccessat": 269, "ppoll": 271, "set_robust_list": 273, "epoll_pwait": 281, "pipe2": 293,
        "getcpu": 309, "getrandom": 318, "membarrier": 324, "statx": 332, "rseq": 334, "close_range": 436,
        "faccessat2": 439,
    },
    "aarch64": {
        "getcwd": 17, "dup": 23, "faccessat": 48, "openat": 56, "close": 57, "pipe2": 59, "getdents64": 61,
        "lseek": 62, "read": 63, "write": 64, "readv": 65, "writev": 66, "pread64": 67, "ppoll": 73,
        "newfstatat": 79, "fstat": 80, "exit": 93, "exit_group": 94, "futex": 98, "set_robust_list": 99,
        "nanosleep": 101, "getitimer": 102, "setitimer": 103, "clock_gettime": 113, "clock_getres": 114,
        "clock_nanosleep": 115, "sched_getaffinity": 123, "sched_yield": 124, "restart_syscall": 128,
        "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "times": 153,
        "uname": 160, "getrlimit": 163, "getrusage": 165, "getcpu": 168, "gettimeofday": 169, "getpid": 172,
        "getppid": 173, "getuid": 174, "geteuid": 175, "getgid": 176, "getegid": 177, "gettid": 178, "sysinfo": 179,
        "brk": 214, "munmap": 215, "mremap": 216, "madvise": 233, "getrandom": 278, "membarrier": 283, "statx": 291,
        "rseq": 293, "close_range": 436, "faccessat2": 439,
    },
}  # fmt: skip

#: Allowed only with harmless arguments, see ``_guarded``.
GUARDED: dict[str, dict[str, int]] = {
    "x86_64": {"mmap": 9, "mprotect": 10, "ioctl": 16, "clone": 56, "fcntl": 72, "tgkill": 234, "prlimit64": 302,
               "clone3": 435},
    "aarch64": {"mmap": 222, "mprotect": 226, "ioctl": 29, "clone": 220, "fcntl": 25, "tgkill": 131, "prlimit64": 261,
                "clone3": 435},
}  # fmt: skip

#: Mistakes of ordinary code: EPERM. Sockets; processes; changing files; links; signals; identity; scheduling; memory
#: files and locks; timers and event descriptors.
REFUSED: dict[str, tuple[int, ...]] = {
    "x86_64": (
        *range(41, 56), 288,
        57, 58, 59, 61, 247, 322,
        18, 40, 73, 74, 75, 76, 77, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 132, 137, 138, 161,
        221, 235, 258, 259, 260, 261, 263, 264, 265, 266, 267, 268, 280, 285, 316, 326,
        62, 129, 200, 424, 434,
        105, 106, 109, 111, 112, 113, 114, 115, 117, 118, 119, 120, 121, 124, 125,
        140, 141, 142, 143, 144, 145, 146, 157, 160, 203, 237, 238, 239,
        22, 23, 26, 27, 29, 30, 31, 67, 149, 150, 151, 152, 319, 325,
        34, 37, 213, 222, 223, 224, 225, 226, 233, 253, 254, 255, 270, 282, 283, 284, 286, 287, 289, 290, 291, 292, 294,
    ),
    "aarch64": (
        *range(198, 213), 242,
        221, 260, 95, 281,
        24, 32, 33, 34, 35, 36, 37, 38, 43, 44, 45, 46, 47, 49, 50, 51, 52, 53, 54, 55, 68, 71, 78, 82, 83,
        88, 276, 285,
        129, 130, 138, 424, 434,
        140, 141, 144, 146, 147, 149, 154, 155, 157, 158, 159, 164, 166, 167, 235, 236, 237,
        194, 195, 196, 197, 228, 229, 230, 231, 232, 279, 284,
        19, 20, 21, 26, 27, 28, 72, 74, 85, 86, 87, 107, 108, 109, 110, 111,
    ),
}  # fmt: skip

#: What the jailed process tries once it is locked in.
SOCKET = {"x86_64": 41, "aarch64": 198}

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_REFUSE = _ERRNO | errno.EPERM
_PROT_EXEC, _CLONE_THREAD, _X32_BIT = 4, 0x10000, 0x40000000
_TCGETS, _FIOCLEX = 0x5401, 0x5451
#: F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC. Not F_SETOWN, F_SETSIG, F_SETFL: with O_ASYNC they make the
#: kernel signal our own process, and Landlock stops that only from ABI 6.
_FCNTL_COMMANDS = (0, 1, 2, 3, 1030)

Instruction = tuple[int, int, int, int]


def build(machine: str, pid: int) -> list[Instruction]:
    """The filter as (code, jump if true, jump if false, operand). ``pid`` is the only process it may signal.

    Raises KeyError for a processor without tables.
    """
    program: list[Instruction] = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, AUDIT_ARCH[machine]), (_RETURN, 0, 0, _KILL)]
    program.append((_LOAD, 0, 0, 0))
    if machine == "x86_64":
        program += [(_AT_LEAST, 0, 1, _X32_BIT), (_RETURN, 0, 0, _KILL)]
    for number in ALLOWED[machine].values():
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for name, number in GUARDED[machine].items():
        body = _guarded(name, pid)
        program += [(_EQUAL, 0, len(body), number), *body]
    for number in sorted(set(REFUSED[machine])):
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    program.append((_RETURN, 0, 0, _KILL))
    return program


def errno_for(numbers: tuple[int, ...], code: int) -> list[Instruction]:
    """A filter under which these system calls fail with ``code`` and all others work: an older kernel, in effect."""
    program: list[Instruction] = [(_LOAD, 0, 0, 0)]
    for number in numbers:
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | code)]
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def install(program: list[Instruction], machine: str) -> None:
    """Put the filter on every thread of this process, for good. Needs ``no_new_privs``. Raises OSError."""
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    if kernel.syscall(kernel.SECCOMP_NUMBER[machine], 1, 1, header) != 0:
        raise OSError("a thread could not be filtered")


def _argument(index: int, *, high: bool = False) -> Instruction:
    return (_LOAD, 0, 0, 16 + 8 * index + (4 if high else 0))


def _guarded(name: str, pid: int) -> list[Instruction]:
    allow, refuse = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)
    if name == "clone3":  # its flags lie behind a pointer; with ENOSYS the C library falls back to clone
        return [(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    if name == "clone":
        return [_argument(0), (_ANY_BIT, 0, 1, _CLONE_THREAD), allow, refuse]
    if name in ("mmap", "mprotect"):
        return [_argument(2), (_ANY_BIT, 0, 1, _PROT_EXEC), refuse, allow]
    if name == "ioctl":
        return [_argument(1), (_EQUAL, 1, 0, _TCGETS), (_EQUAL, 0, 1, _FIOCLEX), allow, refuse]
    if name == "fcntl":
        tests = [(_EQUAL, len(_FCNTL_COMMANDS) - at, 0, command) for at, command in enumerate(_FCNTL_COMMANDS)]
        return [_argument(1), *tests, refuse, allow]
    if name == "tgkill":
        return [_argument(0), (_EQUAL, 0, 1, pid), allow, refuse]
    # prlimit64: reading only, that is, with no new limit
    return [_argument(2), (_EQUAL, 0, 3, 0), _argument(2, high=True), (_EQUAL, 0, 1, 0), allow, refuse]
