"""A grader as a Lambda zip and as one Python file: the same bytes for the same grader."""

from __future__ import annotations

import ast
import io
import json
import sys
import zipfile

from graders_app.core.errors import GraderError
from graders_app.core.spec import (
    GraderSpec,
    MultiSpec,
    PythonSpec,
    TextSimilaritySpec,
    children,
    parse_grader,
    parse_source,
)
from rft_project.platforms.types import JsonDict

from .bundle import FILE_MODULES, LAMBDA_MODULES, PACKAGE, licences, modules
from .documents import bedrock_document

MAX_ZIP_BYTES = 5_000_000  # ours; a function's own limit for a direct upload is 50 MB
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip knows
_ENTRY = f'''"""The reward function: lambda_function.lambda_handler. Its time-out: minutes, not the usual 3 s."""

from pathlib import Path

from {PACKAGE}.lambda_handler import open_handler

lambda_handler = open_handler(Path(__file__).parent)
'''
_USAGE = """In a program: grade(make_sample("the answer"), {"reference_answer": "…"})["reward"].
On a file of lines {"item": {…}, "sample": {"output_text": "…"}}: python FILE answers.jsonl > scores.jsonl
Without libraries, on Python 3.10 or later."""
_LOADER = '''

class _Sources(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Loads PACKAGE from the texts above."""

    def find_spec(self, name, path=None, target=None):
        key = self._key(name)
        return importlib.util.spec_from_loader(name, self, is_package=key.endswith("__init__")) if key else None

    def get_source(self, name):
        return _SOURCES[self._key(name)]

    def is_package(self, name):
        return self._key(name).endswith("__init__")

    def _key(self, name):
        if name.split(".")[0] != "PACKAGE":
            return ""
        path = "/".join(name.split(".")[1:])
        return next((key for key in (path, f"{path}/__init__".lstrip("/")) if key in _SOURCES), "")


if not any(type(finder).__name__ == "_Sources" for finder in sys.meta_path):
    sys.meta_path.insert(0, _Sources())

from PACKAGE.plain_file import run
from PACKAGE.runtime import CompiledGrader
from PACKAGE.samples import make_sample

_graders = {}


def open_grader(judge=None):
    """The grader. judge(questions) answers each of its questions with a text, or an exception where it cannot."""
    return CompiledGrader(json.loads(GRADER), judge)


def grade(sample, item):
    """reward, sub_rewards, errors and notes of one answer; make_sample(text) makes a sample of a text."""
    if "grader" not in _graders:
        _graders["grader"] = open_grader()
    return _graders["grader"].grade(sample, item)


if __name__ == "__main__":
    sys.exit(run(json.loads(GRADER), sys.argv[1:]))
'''


def lambda_zip(config: JsonDict, *, judge_model: str = "") -> bytes:
    """A reward function for Bedrock: the generic runtime, ``grader.json`` and the licences; about 60 kB.

    Judges are asked through Converse; python graders have the standard library. Raises GraderError for a wrong
    document, a judge that is no model of Bedrock, and python source that imports what a function does not have.
    """
    document = bedrock_document(config, judge_model=judge_model)
    _refuse_libraries(parse_grader(document))
    files = {f"{PACKAGE}/{path}.py": text for path, text in modules(LAMBDA_MODULES).items()}
    files |= licences()
    files |= {
        "lambda_function.py": _ENTRY,
        "grader.json": json.dumps(document, ensure_ascii=False, indent=2) + "\n",
    }
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever it is packed
            entry.external_attr = 0o644 << 16  # a function refuses files that others may not read
            packed.writestr(entry, files[name].encode())
    data = target.getvalue()
    if len(data) > MAX_ZIP_BYTES:
        raise GraderError("the reward function would be larger than 5 MB; shorten its sources.", "")
    return data


def python_file(config: JsonDict) -> str:
    """One Python file (3.10 or later, standard library) that grades lines of JSON and can be imported.

    It has no judge: a ``score_model`` part reports an error per answer unless ``open_grader(judge=…)`` gives one.
    Libraries that a python grader imports have to be installed where the file runs. Raises GraderError.
    """
    spec = parse_grader(config)
    metrics = any(isinstance(child, TextSimilaritySpec) for child in children(spec).values())
    lines = [
        f'"""{_heading(spec.name)}\n\n{_USAGE}\n"""',
        "\nimport importlib.abc\nimport importlib.util\nimport json\nimport sys\n",
        f"GRADER = {_literal(json.dumps(config, ensure_ascii=True, indent=2))}\n",
        "_SOURCES = {",
        *(f"    {path!r}: {_literal(text)}," for path, text in modules(FILE_MODULES, metrics=metrics).items()),
        "}",
    ]
    notices = "".join(f"\n# {name}\n{_commented(text)}" for name, text in licences().items()) if metrics else ""
    return "\n".join(lines) + _LOADER.replace("PACKAGE", PACKAGE) + notices


def _heading(name: str) -> str:
    plain = "".join(char if char.isprintable() and char not in '\\"' else "'" for char in name)
    return f"Grader {plain}, as a file of its own."


def _literal(text: str) -> str:
    """``text`` as Python that is readable where it can be."""
    plain = "'''" not in text and not text.endswith(("'", "\\")) and "\r" not in text and "\0" not in text
    return f"r'''{text}'''" if plain else repr(text)


def _commented(text: str) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in text.splitlines())


def _refuse_libraries(spec: GraderSpec) -> None:
    for name, child in children(spec).items():
        if not isinstance(child, PythonSpec):
            continue
        field = f"graders.{name}.source" if isinstance(spec, MultiSpec) else "source"
        for line, library in _imports(child.source):
            if library not in sys.stdlib_module_names:
                raise GraderError(
                    f"line {line}: the reward function has no {library}, write it with the standard library.", field
                )


def _imports(source: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for node in ast.walk(parse_source(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name.split(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.lineno, (node.module or "").split(".")[0]))
    return sorted(found)
