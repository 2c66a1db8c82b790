"""What people do with a dataset, as functions; pages and commands call the same ones."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.expressions import RawSQL

from datasets_app.core import formats, repairs, targets
from datasets_app.core.coverage import leaf_counts
from datasets_app.core.identity import digest
from datasets_app.core.mapping import FieldMapping
from datasets_app.core.records import Trace, clean_text, loads
from datasets_app.core.sanitizing import SanitizeConfig
from datasets_app.core.sort_settings import SortSettings
from rft_project.connections.models import Workspace
from rft_project.jobs.models import Job
from rft_project.jobs.services import HasPk, enqueue
from rft_project.platforms.types import last_user_text

from .facts import topic_counts
from .models import INVALID, Dataset, DatasetRecord, ImportBatch, RawRecord

TRIED = 5  # records of each problem that the repairs are tried on before they are offered
MENDABLE = tuple(code for _, codes, _ in repairs.REPAIRS.values() for code in codes)


class Refused(Exception):
    """A request that cannot be met; the text is one sentence for people, ``field`` the form field it belongs to."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


def create_dataset(workspace: Workspace, name: str, *, by: HasPk | None) -> Dataset:
    """Raises Refused when the workspace has a dataset of that name."""
    try:
        with transaction.atomic():
            return Dataset.objects.create(workspace=workspace, name=name.strip(), created_by_id=by.pk if by else None)
    except IntegrityError:
        raise Refused(f"There is already a dataset called {name.strip()}; choose another name.", "name") from None


def start_import(
    batch: ImportBatch,
    format: str = formats.AUTO,
    reference_field: str = "",
    *,
    by: HasPk | None,
    mapping: FieldMapping | None = None,
    limit: int | None = None,
) -> Job:
    """Queue the import of a staged file; asking twice finds the job that is there, also one that has done it.

    ``reference_field`` is short for a mapping of the answer alone; ``limit``: lines to read in all.
    """
    mapping = mapping or FieldMapping(reference=reference_field)
    with transaction.atomic():
        done = ImportBatch.objects.select_related("job").get(pk=batch.pk)
        if done.job is not None and done.finished_at is not None:
            return done.job
        params = {"batch": batch.pk, "limit": limit or 0}
        job = enqueue("import", params, lock_key=f"batch:{batch.pk}:import", by=by)
        ImportBatch.objects.filter(pk=batch.pk).update(
            job=job, format=format, mapping=mapping.model_dump(mode="json"), error=""
        )
    return job


def forget_file(batch: ImportBatch) -> None:
    """Remove the staged file once its lines are in the database."""
    if batch.owned:
        with contextlib.suppress(OSError):
            Path(batch.path).unlink(missing_ok=True)


def configure_sanitizing(dataset: Dataset, params: Mapping[str, Any]) -> None:
    """Store the config; records checked with another one count as unchecked from now on."""
    config = dataset.sanitizing
    threshold = params.get("near_threshold") or config.near_duplicates or True
    given = {name: value for name, value in params.items() if name != "near_threshold"}
    values = {**config.model_dump(), **given, "near_duplicates": threshold if params["near_duplicates"] else None}
    stored = SanitizeConfig.model_validate(values).model_dump(mode="json")
    Dataset.objects.filter(pk=dataset.pk).update(sanitize_config=stored)


def configure_sorting(dataset: Dataset, chosen: SortSettings) -> None:
    """Store how the next run sorts."""
    Dataset.objects.filter(pk=dataset.pk).update(sort_config=chosen.model_dump())


def repairable(dataset: Dataset) -> bool:
    """Whether a repair would change invalid records; of each problem that can be mended the first are looked at."""
    of_one_code = f"""SELECT id FROM (
        SELECT id FROM {DatasetRecord._meta.db_table} WHERE dataset_id = %s AND verdict = '{INVALID}' AND code = %s
        ORDER BY id LIMIT {TRIED}) first_of_code"""
    tried = RawSQL(
        " UNION ALL ".join([of_one_code] * len(MENDABLE)), [x for code in MENDABLE for x in (dataset.pk, code)]
    )
    bodies = RawRecord.objects.filter(record__in=tried).values_list("body", flat=True)
    return any(repairs.repair(loads(body), repairs.REPAIRS)[1] for body in bodies)


def read_of(trace: Trace) -> dict[str, Any]:
    """What the narrow row repeats of a payload."""
    return {"digest": digest(trace), "preview": clean_text(last_user_text(trace.messages))[:600]}


def set_targets(dataset: Dataset, typed: Mapping[str, str]) -> None:
    """Store the targets typed per topic (see ``targets.read_targets``), or those of the ``preset`` that was pressed.

    Raises Refused; ``field`` is the topic.
    """
    leaves, preset = dataset.topics.leaves(), typed.get("preset")
    if preset == "even":
        chosen = {}
    elif preset == "now":
        chosen = targets.as_now(leaf_counts(dataset.topics, topic_counts(dataset))[0])
    else:
        try:
            chosen = targets.read_targets(leaves, typed)
        except targets.TargetError as error:
            raise Refused(str(error), error.topic) from None
    Dataset.objects.filter(pk=dataset.pk).update(topic_targets=chosen)
