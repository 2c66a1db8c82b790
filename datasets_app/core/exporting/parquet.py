"""Parquet with a typed schema, row group by row group: memory holds one group."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datasets_app.core.exporting.base import Columns, Kind
from datasets_app.core.exporting.tables import FIXED, JSON_COLUMNS, decoded, field_names

ROW_GROUP = 2_000  # rows; conversations are long, and a group is held in memory
_TYPES: dict[Kind | None, Any] = {
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "text": pa.string(),
    "json": pa.string(),
    None: pa.string(),  # nothing but nulls
}
MESSAGE = pa.struct([(name, pa.string()) for name in ("role", "content", "tool_calls", "tool_call_id")])


def schema_of(columns: Columns) -> Any:
    """Columns with their types; those that hold JSON say so in their metadata."""
    found = [pa.field(name, _TYPES[kind], nullable=name != "record") for name, kind in FIXED.items()]
    if columns.has_reference:
        found.append(_field("reference_answer", columns.reference))
    kinds: list[Kind | None] = [kind for _, kind in columns.ordered]
    kinds += ["json"] if columns.others else []
    found += [_field(name, kind) for name, kind in zip(field_names(columns), kinds, strict=True)]
    found.append(pa.field(JSON_COLUMNS[0], pa.list_(MESSAGE)))
    return pa.schema([*found, *(_field(name, "json") for name in JSON_COLUMNS[1:])])


def _field(name: str, kind: Kind | None) -> Any:
    return pa.field(name, _TYPES[kind], metadata={"format": "json"} if kind == "json" else None)


def write(lines: Path, target: Path, columns: Columns) -> None:
    """Make ``target`` of the rows in ``lines``. The same lines make the same bytes. Raises OSError."""
    schema = schema_of(columns)
    with (
        lines.open("rb") as source,
        target.open("wb") as sink,
        pq.ParquetWriter(sink, schema, compression="zstd") as writer,
    ):
        while group := [decoded(line) for line in islice(_rows(source), ROW_GROUP)]:
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            del group  # before the next one is read


def _rows(source: Any) -> Iterator[bytes]:
    return (line for line in source if line.strip())
