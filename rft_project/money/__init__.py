"""What work costs: prices that are known, ranges before it starts. A price nobody knows stays unknown."""

from __future__ import annotations
