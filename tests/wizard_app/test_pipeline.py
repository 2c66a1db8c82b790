"""``run_pipeline``: the whole main job without a browser."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command

from datasets_app.sample import SMALL_PATH
from wizard_app.models import RFTJob, Rollout

pytestmark = pytest.mark.django_db(transaction=True)


def pipeline(tmp_path, *more, name="trial", grader="preset:label_partial_credit"):
    report = tmp_path / "report.json"
    arguments = [str(SMALL_PATH), "--name", name, "--grader", grader, "--model", "classifier", "--dry-run-size", "20"]
    try:
        call_command("run_pipeline", *arguments, "--report", str(report), *more)
    finally:
        found = json.loads(report.read_text()) if report.exists() else {}
    return found


def test_a_file_becomes_a_better_model(engine, tmp_path):
    report = pipeline(tmp_path)
    assert report["tuned"] >= report["baseline"] + 0.25
    assert report["verdict"] == "improved_significantly"
    assert report["import"]["imported"] == 60
    assert report["split"]["train"] + report["split"]["valid"] == 60
    assert report["deployment"]["model"] == report["model"]


def test_the_same_name_goes_on_and_asks_for_nothing_twice(engine, tmp_path):
    first = pipeline(tmp_path)
    answers, jobs = Rollout.objects.count(), len(engine.request("GET", "/v1/fine_tuning/jobs?limit=100")[1]["data"])
    second = pipeline(tmp_path)
    assert second["model"] == first["model"]
    assert second["import"]["already_present"] == 60
    assert (Rollout.objects.count(), RFTJob.objects.count()) == (answers, 1)
    assert len(engine.request("GET", "/v1/fine_tuning/jobs?limit=100")[1]["data"]) == jobs


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"grader": "preset:nothing"}, "there is no preset 'nothing'"),
        ({"grader": "missing.json"}, "missing.json cannot be read"),
    ],
)
def test_a_mistake_is_one_sentence(engine, tmp_path, change, words):
    with pytest.raises(CommandError, match=words) as refused:
        pipeline(tmp_path, **change)
    assert "\n" not in str(refused.value)


def test_an_unknown_model_is_refused_before_any_work(engine, tmp_path):
    with pytest.raises(CommandError, match="has no model gpt-9") as refused:
        pipeline(tmp_path, "--model", "gpt-9")
    assert refused.value.returncode == 2
    assert RFTJob.objects.count() == 0
