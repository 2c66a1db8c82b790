"""Process-wide settings that must be made before torch is imported."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Cores this process may run on, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    return max(1, len(affinity(0)) if affinity else os.cpu_count() or 1)


def prepare(threads: int | None = None) -> None:
    """Imports torch with ``threads`` threads; None leaves one core to the rest of the machine.

    A busy OpenMP barrier makes small products up to sixty times slower once another process wants the core, so
    waiting threads sleep. Nothing is ever fetched from a model hub.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch  # noqa: PLC0415 - heavy, and reads the variables above when it is imported
    from transformers.utils import logging  # noqa: PLC0415 - comes after the variables above too

    logging.disable_progress_bar()
    torch.set_num_threads(threads or max(1, usable_cores() - 1))
