"""A flag that a worker cluster shares with its processes: "finish your slice, we are closing".

Anonymous shared memory, made before the fork: one byte needs no lock, so no process can die holding one.
"""

from __future__ import annotations

import mmap

_flag = mmap.mmap(-1, 1)


def begin() -> None:
    """Ask every slice that runs in this process or in a forked child to end at its next look."""
    _flag[0] = 1


def reset() -> None:
    _flag[0] = 0


def requested() -> bool:
    return _flag[0] == 1
