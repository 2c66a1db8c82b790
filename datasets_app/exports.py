"""Files made of datasets: starting one, the records that go in, where it lies, and its end."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils import timezone
from django.utils.text import slugify
from pydantic import BaseModel

from datasets_app.core.exporting.base import About, Entry
from datasets_app.core.exporting.catalogue import FORMATS
from datasets_app.core.exporting.report import Part
from datasets_app.core.records import loads
from rft_project.connections.models import AuditEntry
from rft_project.jobs.services import enqueue, request_cancel

from .filters import Where, matching
from .models import Dataset, Export, Snapshot
from .services import Refused

KEPT_DAYS = 30
PACKED = ("canonical", "trl", "csv")  # may be gzipped; platforms take no .gz, and Parquet is compressed already
TRAIN = "train"
_ABOUT = list(About.model_fields)  # columns of a record


class Selection(BaseModel):
    """Which records are wanted, and how they are packed. ``part`` is a part of a snapshot, whose records are filtered

    by ``where.topic`` only: the rest of what is known of a record is not frozen with it.
    """

    where: Where = Where()
    part: Part = ""
    gzip: bool = False

    @property
    def words(self) -> dict[str, str]:
        """Only what narrows it."""
        return {**self.where.chosen, **({"part": self.part} if self.part else {})}


def chosen_of(export: Export) -> Selection:
    return Selection.model_validate(export.selection)


def start_export(
    dataset: Dataset, format: str, selection: Selection, *, by: Any, snapshot: Snapshot | None = None
) -> Export:
    """Queue an export; asking for the same one twice while it is made finds the one that is there. Raises Refused."""
    if selection.gzip and format not in PACKED:
        raise Refused(f"{FORMATS[format].label} files are not gzipped; leave that out.", "gzip")
    wanted = f"{format}:{snapshot.pk if snapshot else ''}:{selection.model_dump_json()}"
    lock = f"dataset:{dataset.pk}:export:{hashlib.sha256(wanted.encode()).hexdigest()[:24]}"
    with transaction.atomic():
        job = enqueue("export", {"dataset": dataset.pk}, lock_key=lock, by=by, unit="records")
        export, made = Export.objects.get_or_create(
            job=job,
            defaults={
                "dataset": dataset,
                "snapshot": snapshot,
                "format": format,
                "selection": selection.model_dump(mode="json"),
                "token": uuid.uuid4().hex,
                "created_by_id": by.pk if by else None,
            },
        )
        if made:
            audit("export dataset", export, by)
    return export


def start_chosen(dataset: Dataset, params: Mapping[str, Any], *, by: Any) -> Export:
    """The export that ``ExportForm`` describes. Raises Refused."""
    pk, _, part = params["source"].partition(":")
    where = Where(verdict="" if pk else params["verdict"], topic=params["topic"])
    chosen = Selection.model_validate({"where": where, "part": part, "gzip": params["gzip"]})
    frozen = dataset.snapshots.get(pk=pk) if pk else None
    return start_export(dataset, params["format"], chosen, by=by, snapshot=frozen)


def audit(action: str, export: Export, by: Any) -> None:
    """Data left the product, or is about to: who, what, in which form."""
    chosen = ", ".join(f"{name} {value}" for name, value in chosen_of(export).words.items())
    detail = f"export {export.pk}, {export.format}{f', {chosen}' if chosen else ''}"
    AuditEntry.write(action, export.dataset, workspace=export.dataset.workspace, actor=by, detail=detail)


# --- the records ------------------------------------------------------------------------------------------------------


def source_of(export: Export) -> QuerySet[Any]:
    """The rows an export is made of, in order of their keys."""
    chosen = chosen_of(export)
    if export.snapshot is None:
        return matching(export.dataset, chosen.where).order_by("pk")
    items = export.snapshot.items.order_by("pk")
    items = items.filter(part=chosen.part) if chosen.part else items
    return items.filter(topic=chosen.where.topic) if chosen.where.topic else items


def last_key(export: Export) -> int:
    """The last row there is now: what comes later is not part of the export."""
    return source_of(export).order_by().aggregate(last=Max("pk"))["last"] or 0


def entries(export: Export, after: int, until: int, count: int) -> list[tuple[int, Entry]]:
    """The next ``count`` rows with keys above ``after``, each with its key.

    Plain values: a record and its payload as model objects hold each other, and would stay until the next collection.
    """
    chosen = source_of(export).filter(pk__gt=after, pk__lte=until)
    if export.snapshot is not None:
        items = chosen.values_list("pk", "record_id", "body", "topic")[:count]
        return [(pk, Entry(record, loads(body), About(topic=topic))) for pk, record, body, topic in items]
    rows = chosen.values_list("pk", "raw__body", *_ABOUT)[:count]
    return [(pk, Entry(pk, loads(body), _about(values))) for pk, body, *values in rows]


def _about(values: list[Any]) -> About:
    known = dict(zip(_ABOUT, values, strict=True))
    return About(**{**known, "topic": known["topic"] or ""})


def checked_part(export: Export) -> Iterator[Entry]:
    """Rows of the same snapshot that a model is checked with, where the export is what it trains on."""
    if export.snapshot is not None and chosen_of(export).part == TRAIN:
        for item in export.snapshot.items.exclude(part=TRAIN).iterator(chunk_size=500):
            yield Entry(item.record_id, item.trace, About(topic=item.topic))


# --- the files --------------------------------------------------------------------------------------------------------


def file_of(export: Export) -> Path:
    """The finished file."""
    return settings.EXPORT_DIR / f"{export.token}.file"


def part_of(export: Export) -> Path:
    """The lines written so far."""
    return settings.EXPORT_DIR / f"{export.token}.part"


def made_of(export: Export) -> Path:
    """What is made of the lines where they are not the file themselves."""
    return settings.EXPORT_DIR / f"{export.token}.made"


def left_out_of(export: Export) -> Path:
    """One JSON object for each record that was left out, with the rules it breaks."""
    return settings.EXPORT_DIR / f"{export.token}.left-out.jsonl"


def download_name(export: Export) -> str:
    """What a browser saves the file as."""
    chosen = chosen_of(export)
    part = f"-{chosen.part}" if chosen.part else ""
    packed = ".gz" if chosen.gzip else ""
    return f"{slugify(export.dataset.name) or 'dataset'}-{export.format}{part}{export.kind.suffix}{packed}"


def settle(export: Export) -> None:
    """Give a finished file its name; doing it twice does no harm. Raises OSError."""
    built = made_of(export) if export.kind.finish else part_of(export)
    if built.is_file():
        built.replace(file_of(export))
    with contextlib.suppress(OSError):
        part_of(export).unlink(missing_ok=True)
        if not export.left_out:
            left_out_of(export).unlink(missing_ok=True)


def delete_export(export: Export) -> None:
    """Take the file and its row away; one that is being made is stopped."""
    if export.job is not None and export.job.is_live:
        request_cancel(export.job)
    export.delete()
    for path in (file_of(export), part_of(export), made_of(export), left_out_of(export)):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def expiry() -> datetime:
    return timezone.now() + timedelta(days=KEPT_DAYS)


def forget_expired() -> None:
    """Take away what nobody fetched in time; called every minute by the sweep."""
    for export in Export.objects.filter(expires_at__lte=timezone.now()).select_related("job")[:100]:
        delete_export(export)
