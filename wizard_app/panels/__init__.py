"""What the wizard's pages and regions show, as frozen values; pages and regions use the same functions."""

from __future__ import annotations
