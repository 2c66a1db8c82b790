"""Many primary keys in a query."""

from __future__ import annotations

import json

from django.db import connection
from django.db.models.expressions import RawSQL


def among(keys: list[int]) -> RawSQL:
    """``filter(pk__in=among(keys))``: the keys are one parameter, however many they are."""
    if connection.vendor == "sqlite":
        return RawSQL("SELECT value FROM json_each(%s)", [json.dumps(keys)])
    return RawSQL("SELECT unnest(%s::bigint[])", [keys])
