"""No pages: the worker processes of these tests serve none."""

from __future__ import annotations

urlpatterns: list[object] = []
