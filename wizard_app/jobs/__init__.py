"""Background work of the wizard; ``settings.JOB_HANDLERS`` names these functions."""

from __future__ import annotations

from .attack import run_attack_job
from .deploy import run_deploy
from .dry_run import run_dry_run
from .evaluate import run_evaluate
from .repeats import run_repeats
from .split import run_split
from .train import run_train

__all__ = ["run_attack_job", "run_deploy", "run_dry_run", "run_evaluate", "run_repeats", "run_split", "run_train"]
