"""The language model of the local engine. Importing this package needs no torch; building a model or trainer does."""

from __future__ import annotations

from rft_project.engine.language.settings import HYPERPARAMETERS
from rft_project.engine.language.weights import BUILT_IN_MODEL, ModelUnavailable, ensure_model, missing_packages

__all__ = ["BUILT_IN_MODEL", "HYPERPARAMETERS", "ModelUnavailable", "ensure_model", "missing_packages"]
