"""Does this machine have what the jail needs? Asked before every start, and again by the jailed process itself."""

from __future__ import annotations

import errno
import os
import platform
import struct
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from . import kernel, landlock, seccomp

#: ``GRADER_BACKEND`` of the environment, which is all that the web server, its workers and the engine share.
BACKEND_VARIABLE = "GRADER_BACKEND"
JAIL, OFF = "jail", "off"
_GET_ACTION_AVAIL = 2
_KILL_PROCESS = 0x80000000


class JailUnavailable(RuntimeError):
    """Python graders cannot run here; ``str(error)`` is a sentence for people. There is no unsafe way round."""


@dataclass(frozen=True, slots=True)
class Support:
    """What the kernel offers and the operator wants. ``available_bytes``: free memory, None where it is not known."""

    system: str
    machine: str
    landlock_abi: int
    seccomp: bool
    available_bytes: int | None = None
    backend: str = JAIL

    def require(self, memory_bytes: int) -> None:
        """Raises JailUnavailable naming the first thing that is missing for a budget of ``memory_bytes``."""
        missing = ""
        if self.backend != JAIL:
            missing = f"{BACKEND_VARIABLE} is set to {self.backend}, ask who runs it to set it to {JAIL}"
        elif self.system != "linux":
            missing = f"they need Linux and this server runs {self.system}"
        elif self.machine not in seccomp.AUDIT_ARCH:
            missing = f"there is no system call list for {self.machine} processors"
        elif self.landlock_abi < 1:
            missing = "its kernel has no Landlock, use Linux 5.13 or later with Landlock enabled"
        elif not self.seccomp:
            missing = "its kernel or container does not allow seccomp filters"
        elif self.available_bytes is not None and self.available_bytes < memory_bytes:
            free, wanted = self.available_bytes >> 20, memory_bytes >> 20
            missing = f"{free} MB of memory are free and a grader may need {wanted} MB"
        if missing:
            raise JailUnavailable(f"Python graders are off on this server: {missing}.")


def probe() -> Support:
    """The running machine. Cheap: the kernel's answers are kept, free memory is read each time."""
    system, machine, abi, filters = _kernel()
    backend = os.environ.get(BACKEND_VARIABLE, JAIL)
    return Support(system, machine, abi, filters, _available_bytes(), backend)


@lru_cache(maxsize=1)
def _kernel() -> tuple[str, str, int, bool]:
    machine = platform.machine()
    return sys.platform, machine, landlock.abi(), _has_seccomp(machine)


def _has_seccomp(machine: str) -> bool:
    if machine not in kernel.SECCOMP_NUMBER:
        return False
    try:
        kernel.syscall(kernel.SECCOMP_NUMBER[machine], _GET_ACTION_AVAIL, 0, struct.pack("=I", _KILL_PROCESS))
    except OSError as error:
        return error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, None)
    return True


def _available_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return None
