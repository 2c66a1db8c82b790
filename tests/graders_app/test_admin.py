"""Operators look at rows of every app; nobody adds, changes or deletes them there."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.urls import reverse

from tests.factories import import_file, make_dataset, record, write_lines

MODELS = [
    model
    for model in apps.get_models()
    if model._meta.app_label in ("datasets_app", "graders_app", "wizard_app") and model in admin.site._registry
]


@pytest.fixture
def operator(db, client_of):
    return client_of(get_user_model().objects.create_superuser("root", password="a long password of root"))


def test_the_lists_that_operators_have():
    assert sorted(model.__name__ for model in MODELS) == [
        "ActionRun", "Change", "Checkpoint", "Dataset", "DatasetRecord", "Deployment", "Export", "Grader",
        "ImportBatch", "MetricPoint", "RFTJob", "RejectedLine", "Rollout", "RunEvent", "Snapshot", "StepResult",
        "Upload",
    ]  # fmt: skip


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_list_opens_and_nothing_can_be_added(operator, model):
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    assert operator.get(reverse(f"{name}_changelist")).status_code == 200
    assert operator.get(reverse(f"{name}_add")).status_code == 403


def test_a_row_can_be_looked_at_but_not_changed_or_deleted(operator, exact, workspace, tmp_path):
    dataset = make_dataset(workspace)
    import_file(dataset, write_lines(tmp_path / "t.jsonl", record("Where is my parcel now?"), "{broken"))
    rows = [exact, dataset, dataset.records.get(), dataset.batches.get(), dataset.batches.get().rejected.get()]
    for row in rows:
        name = f"admin:{row._meta.app_label}_{row._meta.model_name}"
        page = operator.get(reverse(f"{name}_change", args=[row.pk]))
        assert page.status_code == 200
        assert b"parcel" not in page.content
        assert b"{broken" not in page.content
        assert operator.post(reverse(f"{name}_change", args=[row.pk]), {"name": "x"}).status_code == 403
        assert operator.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
