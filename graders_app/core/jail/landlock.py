"""Landlock: from here on this process may read the given folders and nothing else of the file system.

Access bits and structures: ``linux/landlock.h``. Everything the running kernel can handle is handled, so a newer
kernel denies more; TCP (ABI 4) and signals and abstract sockets to the outside (ABI 6) are denied where it can.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from pathlib import Path

from . import kernel

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
#: ABI -> how many file-system access bits it knows.
_FS_BITS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NET_FROM_ABI, _SCOPE_FROM_ABI = 4, 6


def abi() -> int:
    """Landlock version of the running kernel, 0 where it has none or it is switched off."""
    try:
        return kernel.syscall(CREATE_RULESET, 0, 0, 1)
    except OSError:
        return 0


def restrict(readable: Iterable[str]) -> None:
    """Allow reading below ``readable`` (paths that do not exist are skipped), deny the rest. Raises OSError.

    Needs ``no_new_privs``. Executing is not among what is allowed. ``stat`` is outside Landlock's reach.
    """
    version = abi()
    if version < 1:
        raise OSError("the kernel has no Landlock")
    words = [(1 << _FS_BITS[min(version, 5)]) - 1]
    if version >= _NET_FROM_ABI:
        words.append(3)  # bind and connect of TCP
    if version >= _SCOPE_FROM_ABI:
        words.append(3)  # abstract sockets and signals
    attributes = struct.pack(f"={len(words)}Q", *words)
    ruleset = kernel.syscall(CREATE_RULESET, attributes, len(attributes), 0)
    for path in readable:
        _allow(ruleset, path)
    kernel.syscall(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _allow(ruleset: int, path: str) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    access = _READ_FILE | _READ_DIR if Path(path).is_dir() else _READ_FILE
    kernel.syscall(ADD_RULE, ruleset, 1, struct.pack("=Qi", access, handle), 0)
    os.close(handle)
