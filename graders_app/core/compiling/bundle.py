"""The modules that a compiled grader takes along: ours as they are, and the pure part of two libraries.

Everything goes into one package, ``grader_runtime``, so that a python grader that imports rapidfuzz or nltk gets the
library of its machine or a clear error, never our excerpt. From rapidfuzz (MIT) the files written in Python are taken
as installed; of nltk (Apache 2.0) GLEU, METEOR and the Porter stemmer. Their licences go along.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

PACKAGE = "grader_runtime"

_CORE = Path(__file__).parent.parent
_ENGINE = ("formula", "judgement", "templates", "samples")
_RUNTIME = ("runtime", "python_part", "python_child")
_METRICS = ("bleu", "similarity")
LAMBDA_MODULES = ("plain_file", "events", "converse", "lambda_handler")
FILE_MODULES = ("plain_file",)

_RAPIDFUZZ = (
    "_common_py",
    "_utils",
    "fuzz_py",
    "distance/_initialize_py",
    "distance/Indel_py",
    "distance/LCSseq_py",
)
_NLTK = ("stem/api", "stem/porter", "translate/gleu_score", "translate/meteor_score")

#: rapidfuzz's compiled ``default_process``, which the engine runs: its Python one keeps ``_`` and lowers a last sigma
#: otherwise. The same for all but the letters that came into Unicode after rapidfuzz's tables (525, of rare scripts).
_DEFAULT_PROCESS = """import re

_OTHER = re.compile(r"[\\W_]")


def default_process(sentence):
    single = sentence.replace("\\u0130", "i").replace("\\u03a3", "\\u03c3")  # lowered letter by letter
    return _OTHER.sub(" ", single).strip().lower()
"""

#: What stands where the libraries' own files would load compiled code, other modules or data.
_STAND_INS = {
    "rapidfuzz/__init__": f"from {PACKAGE}.rapidfuzz import fuzz_py as fuzz, utils_py as utils\n",
    "rapidfuzz/utils_py": _DEFAULT_PROCESS,
    "rapidfuzz/distance/__init__": f"from {PACKAGE}.rapidfuzz.distance._initialize_py import ScoreAlignment\n"
    f"from {PACKAGE}.rapidfuzz.distance import LCSseq_py as LCSseq\n",
    "nltk/__init__": "import re as redos\n",
    "nltk/stem/__init__": "",
    "nltk/translate/__init__": "",
    "nltk/corpus": "WordNetCorpusReader = object\nwordnet = None\n",
    "nltk/termsec": "safe_print = print\n",
    "nltk/util": "def ngrams(words, n):\n"
    "    return zip(*(words[at:] for at in range(n)))\n\n\n"
    "def everygrams(words, shortest, longest):\n"
    "    return (gram for n in range(shortest, longest + 1) for gram in ngrams(words, n))\n",
}


@cache
def modules(extra: tuple[str, ...], *, metrics: bool = True) -> dict[str, str]:
    """Path in the package without ``.py`` -> source: the runtime, ``extra`` of this folder, and the metrics' code."""
    engine = (*_ENGINE, *(_METRICS if metrics else ()))
    found = {"__init__": f'"""Runs a grader.{_NOTICE if metrics else ""}"""\n'}
    found |= {name: _moved(_CORE / f"{name}.py") for name in engine}
    found |= {name: _moved(_CORE / "compiling" / f"{name}.py") for name in (*_RUNTIME, *extra)}
    if metrics:
        found |= {f"rapidfuzz/{path}": _library("rapidfuzz", path) for path in _RAPIDFUZZ}
        found |= {f"nltk/{path}": _library("nltk", path) for path in _NLTK}
        found |= _STAND_INS
    return dict(sorted(found.items()))


@cache
def licences() -> dict[str, str]:
    """File name -> text, of the libraries that ``modules`` takes from."""
    return {f"LICENSE-{name}.txt": _licence(name) for name in ("rapidfuzz", "nltk")}


_NOTICE = " Parts under rapidfuzz/ are MIT (Max Bachmann), under nltk/ Apache 2.0 (NLTK Project)."


def _moved(path: Path) -> str:
    """Our module with its imports as they read inside the package."""
    text = path.read_text(encoding="utf-8")
    text = text.replace("from rft_project.platforms.types import JsonDict\n", "JsonDict = dict[str, Any]\n")
    text = re.sub(r"(?m)^(\s*)from graders_app\.core\.(\w)", r"\1from .\2", text)
    return _inside(text)


def _library(name: str, path: str) -> str:
    return _inside(_installed(name, f"{name}/{path}.py"))


def _inside(text: str) -> str:
    return re.sub(r"(?m)^(\s*)from (rapidfuzz|nltk)\b", rf"\1from {PACKAGE}.\2", text)


def _installed(name: str, path: str) -> str:
    return Path(str(distribution(name).locate_file(path))).read_text(encoding="utf-8")


def _licence(name: str) -> str:
    files = distribution(name).files or []
    found = next(path for path in files if "licenses" in path.parts and path.stem == "LICENSE")
    return _installed(name, str(found))
