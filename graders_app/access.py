"""The only door to graders: the user's own, or 404."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404

from .models import Grader


def grader(user: Any, pk: int) -> Grader:
    return get_object_or_404(Grader.objects.of(user).select_related("workspace", "created_by"), pk=pk)
