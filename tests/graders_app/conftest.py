from __future__ import annotations

import pytest

from graders_app.models import Grader
from graders_app.services import save_grader

EXACT = {
    "type": "string_check",
    "name": "exact",
    "operation": "eq",
    "input": "{{sample.output_text}}",
    "reference": "{{item.reference_answer}}",
}
SOURCE = '''\
def grade(sample, item):
    """Share of the wanted words that are there."""
    words = item["wanted"]
    return sum(word in sample["output_text"] for word in words) / len(words)
'''
PYTHON = {"type": "python", "name": "words", "source": SOURCE}
MULTI = {
    "type": "multi",
    "name": "both",
    "graders": {"exact": EXACT, "words": PYTHON},
    "calculate_output": "0.5 * exact + 0.5 * words",
}
JUDGE = {
    "type": "score_model",
    "name": "judge",
    "model": "judge-model",
    "input": [{"role": "user", "content": "Score {{sample.output_text}}"}],
    "range": [1, 5],
}


@pytest.fixture
def exact(workspace, owner) -> Grader:
    return save_grader(workspace, "Right label", EXACT, preset="exact_label", by=owner)


@pytest.fixture
def python(workspace, owner) -> Grader:
    return save_grader(workspace, "Words", PYTHON, by=owner)


@pytest.fixture
def multi(workspace, owner) -> Grader:
    return save_grader(workspace, "Both", MULTI, by=owner)
