"""CPU and memory of processes, from Linux's ``/proc``."""

from __future__ import annotations

import os
import threading
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_MIB = 1 << 20


def _stat(pid: int | str) -> list[str]:
    """The fields of ``/proc/PID/stat`` after the command's name: state, parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int(_stat(entry.name)[1])
            except OSError:
                continue  # ended meanwhile
            if parent == pid:
                found.append(int(entry.name))
    return found


def family_of(pid: int) -> list[int]:
    """The process and all its descendants."""
    return [pid, *(one for child in children_of(pid) for one in family_of(child))]


def cpu_of_server(pid: int) -> float:
    """CPU seconds of a server and its children, those that have ended included; ten milliseconds exact."""
    ticks = sum(int(field) for field in _stat(pid)[11:15])
    for child in children_of(pid):
        try:
            ticks += sum(int(field) for field in _stat(child)[11:13])
        except OSError:
            continue
    return ticks / _TICK


def _memory(pid: int) -> tuple[int, int]:
    """Resident bytes of one process, and its fair share of them: pages that n processes share count as 1/n."""
    rss = pss = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            rss = int(line.split()[1]) << 10
        elif line.startswith("Pss:"):
            pss = int(line.split()[1]) << 10
    return rss, pss


class PeakMemory(threading.Thread):
    """Watches a process and its descendants; ``rss`` and ``pss`` are the peaks of their sums in MiB."""

    def __init__(self, pid: int, every: float = 0.1) -> None:
        super().__init__(daemon=True)
        self.pid, self.every = pid, every
        self.rss = self.pss = 0.0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(self.every):
            rss = pss = 0
            for pid in family_of(self.pid):
                try:
                    own = _memory(pid)
                except OSError:
                    continue
                rss, pss = rss + own[0], pss + own[1]
            self.rss, self.pss = max(self.rss, rss / _MIB), max(self.pss, pss / _MIB)

    def stop(self) -> None:
        self._over.set()
        self.join()
