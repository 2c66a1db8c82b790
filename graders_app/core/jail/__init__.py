"""Runs a python grader that we did not write: see ``host.PythonJail``.

``kernel``, ``landlock``, ``seccomp`` and ``child`` run inside the jailed process and use nothing but the standard
library; ``imports``, ``support``, ``spawner``, ``worker`` and ``host`` are our side of the pipe.
"""

from __future__ import annotations

from .host import JailReply, Limits, PythonJail
from .imports import DEFAULT_POLICY, Policy, SourceRefused
from .support import JailUnavailable, Support, probe

__all__ = [
    "DEFAULT_POLICY",
    "JailReply",
    "JailUnavailable",
    "Limits",
    "Policy",
    "PythonJail",
    "SourceRefused",
    "Support",
    "probe",
]
