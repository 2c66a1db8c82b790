"""Who holds a lease: a name for this process that another process can check for life."""

from __future__ import annotations

import os
import socket
import sys
from functools import cache
from pathlib import Path

SEPARATOR = "/"


@cache
def _place() -> str:
    """This host and, on Linux, its process namespace: process ids of two places must not be compared."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return f"{socket.gethostname()}|{namespace}"[:140].replace(SEPARATOR, "_")


def _status(pid: int) -> tuple[str, str] | None:
    """State letter and start time (clock ticks since boot) of a process from /proc; None when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], fields[19]


def cluster_name(group: int) -> str:
    """Name of the worker cluster whose processes form process group ``group`` on this host."""
    return f"{_place()}{SEPARATOR}{group}"


def this_process() -> str:
    """``host|namespace/process group/process id/start time``: the cluster's name is its beginning."""
    pid = os.getpid()
    status = _status(pid)
    return SEPARATOR.join([cluster_name(os.getpgrp()), str(pid), status[1] if status else ""])


def is_gone(owner: str) -> bool:
    """True when the process surely no longer lives. False when it lives, or cannot be seen from here.

    The start time tells a process from a later one with the same id; a zombie counts as gone.
    """
    parts = owner.split(SEPARATOR)
    if len(parts) != 4 or parts[0] != _place() or not parts[3] or not sys.platform.startswith("linux"):
        return False
    status = _status(int(parts[2]))
    return status is None or status[0] in "ZX" or status[1] != parts[3]
