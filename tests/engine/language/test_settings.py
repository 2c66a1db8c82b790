from __future__ import annotations

import subprocess
import sys

import pytest

from rft_project.engine.language import HYPERPARAMETERS
from rft_project.engine.language.settings import is_flat, parse


def test_defaults_are_the_ones_shown() -> None:
    settings = parse({"steps": None, "learning_rate": "auto"})
    assert {name: getattr(settings, name) for name in HYPERPARAMETERS} == {
        n: b.default for n, b in HYPERPARAMETERS.items()
    }
    assert (settings.steps, settings.learning_rate, settings.prompts_per_step) == (40, 2e-4, 12)


def test_every_hyperparameter_is_explained_and_its_default_within_bounds() -> None:
    for name, bound in HYPERPARAMETERS.items():
        assert bound.label and bound.help.endswith(".")
        assert parse({name: bound.minimum}) and parse({name: bound.maximum})
        assert bound.minimum <= bound.default <= bound.maximum


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"n_epochs": 3}, "There is no hyperparameter “n_epochs” here; known are steps, learning_rate"),
        ({"steps": 0}, "Hyperparameter “steps” must be between 1 and 5000, not 0."),
        ({"steps": 2.5}, "Hyperparameter “steps” must be a whole number, not 2.5."),
        ({"learning_rate": 1}, "Hyperparameter “learning_rate” must be between 1e-06 and 0.01, not 1."),
        ({"learning_rate": "fast"}, "Hyperparameter “learning_rate” must be a number, not 'fast'."),
        ({"temperature": float("nan")}, "Hyperparameter “temperature” must be a number, not nan."),
        ({"steps": float("inf")}, "Hyperparameter “steps” must be between 1 and 5000, not inf."),
        ({"answers_per_prompt": True}, "Hyperparameter “answers_per_prompt” must be a number, not True."),
    ],
)
def test_bad_values_get_one_sentence(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(values)
    assert str(caught.value).startswith(sentence)


def test_whole_numbers_may_come_as_floats() -> None:
    assert parse({"steps": 7.0}).steps == 7


def test_flat() -> None:
    assert is_flat([0.3, 0.3, 0.1 + 0.2]) and not is_flat([0.3, 0.31])


def test_importing_needs_no_torch() -> None:
    code = (
        "import sys\nfrom rft_project.engine.language import HYPERPARAMETERS, grpo, policy\n"
        "sys.exit(' '.join(m for m in ('torch', 'transformers', 'peft', 'gguf', 'django') if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
