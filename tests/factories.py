"""Small, typed makers of rows that tests start from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datasets_app import actions, bulk, services
from datasets_app.filters import Where
from datasets_app.models import Dataset, ImportBatch
from datasets_app.sample import SMALL_PATH
from rft_project.connections.models import Workspace
from tests.worker import drain


def record(text: str, reference: Any = "billing", **more: Any) -> dict[str, Any]:
    """A canonical line whose last message is the user's ``text``."""
    messages = [{"role": "system", "content": "Sort the request."}, {"role": "user", "content": text}]
    return {"input": {"messages": messages}, "output": {"messages": []}, "reference_answer": reference, **more}


def write_lines(path: Path, *lines: Any) -> Path:
    """A JSONL file; strings are written as they are, anything else as JSON."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def make_dataset(workspace: Workspace, name: str = "Tickets") -> Dataset:
    return services.create_dataset(workspace, name, by=None)


def import_file(dataset: Dataset, path: Path, *, reference_field: str = "") -> ImportBatch:
    """Import through the real job, here and now."""
    batch = ImportBatch.objects.create(dataset=dataset, filename=path.name, path=str(path), owned=False)
    services.start_import(batch, "auto", reference_field, by=None)
    drain()
    batch.refresh_from_db()
    return batch


def small_dataset(workspace: Workspace, name: str = "Help desk") -> Dataset:
    """The sixty clean sample records, sanitized and sorted into topics."""
    dataset = make_dataset(workspace, name)
    import_file(dataset, SMALL_PATH)
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()
    actions.start(dataset, actions.TOPICS, {"clusters": 6}, by=None)
    drain()
    dataset.refresh_from_db()
    return dataset


def plan_of(dataset: Dataset, action: str, where: dict[str, str] | None = None, **values: Any) -> bulk.Plan:
    """A bulk action on all records that match the filters."""
    selection = bulk.Selection.all_matching(dataset, Where.read(where or {}))
    return bulk.plan(dataset, action, selection, values)
