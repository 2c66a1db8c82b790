"""Which libraries a python grader may import, and which must be loaded before its process is locked.

Once locked, a process cannot load compiled libraries and, where the interpreter belongs to root, cannot read its files
at all. So the grader's imports are read from its source and loaded beforehand; the list below is the library list.
It keeps to what the hosted python graders have (image 2025-05-08, graders guide) plus the standard library's harmless
part. It is a courtesy to the author, not a wall: a grader may reach ``os`` in ten ways, and the kernel refuses it.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from importlib.util import find_spec

_STANDARD = """
    __future__ abc array ast base64 binascii bisect calendar cmath codecs collections contextlib copy csv dataclasses
    datetime decimal difflib enum fractions functools hashlib heapq hmac html io inspect ipaddress itertools json
    keyword locale logging math numbers operator os pprint random re reprlib secrets shlex statistics string
    stringprep struct sys textwrap time token tokenize traceback types typing unicodedata uuid warnings weakref
    xml.etree zlib zoneinfo urllib.parse
"""
_LIBRARIES = """
    ast_grep_py deepdiff jsonschema nltk numpy pandas pydantic rapidfuzz rdkit rouge_score scipy skbio sklearn sqlparse
    sympy yaml
"""
#: What a module loads only when it is used, and which cannot be loaded any more by then.
_LAZY = {
    "datetime": ("_strptime",),
    "time": ("_strptime",),
    "typing": ("collections.abc",),
    "pandas": ("pandas._libs.tslibs.strptime",),
    "numpy": ("numpy.random", "numpy.linalg"),
}


class SourceRefused(ValueError):
    """The source itself cannot be run here. ``line`` is where, counted from 1, if it is known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Policy:
    """``allowed``: module names, each with everything below it. ``preload``: loaded whether imported or not."""

    allowed: frozenset[str]
    preload: tuple[str, ...] = ()


DEFAULT_POLICY = Policy(frozenset(_STANDARD.split()) | frozenset(_LIBRARIES.split()))


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """``modules`` to import in order; ``touch``: names that may be modules too, such as the ``stats`` of ``from scipy
    import stats`` or ``np.random.default_rng`` of a library that loads its parts when they are used."""

    modules: tuple[str, ...]
    touch: tuple[str, ...]


def plan_imports(source: str, policy: Policy = DEFAULT_POLICY) -> ImportPlan:
    """What ``source`` imports, anywhere in it. Raises SourceRefused naming the line of an import that is not allowed.

    Nothing is run. A library that is allowed but not installed is refused too, with a sentence that says so.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise SourceRefused(f"{error.msg}", error.lineno or 1) from None
    except (ValueError, RecursionError, MemoryError):
        raise SourceRefused("the source cannot be parsed") from None
    modules: dict[str, None] = dict.fromkeys(policy.preload)
    touch: dict[str, None] = {}
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                _admit(alias.name, node.lineno, policy, modules)
                first = alias.name.split(".")[0]
                bound[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise SourceRefused("a grader is one file, it has no package to import from", node.lineno)
            _admit(node.module, node.lineno, policy, modules)
            touch.update((f"{node.module}.{alias.name}", None) for alias in node.names if alias.name != "*")
            bound.update((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)
    for node in ast.walk(tree):
        path = _dotted(node)
        if path and bound.get(path[0], "").split(".")[0] in _LIBRARIES.split():
            touch[".".join([bound[path[0]], *path[1:]])] = None
    return ImportPlan(tuple(modules), tuple(touch))


def _admit(name: str, line: int, policy: Policy, modules: dict[str, None]) -> None:
    steps = name.split(".")
    heads = {".".join(steps[:count]) for count in range(1, len(steps) + 1)}
    if not heads & policy.allowed:
        raise SourceRefused(f"graders cannot import {name}", line)
    try:
        found = find_spec(steps[0]) is not None
    except (ImportError, ValueError):
        found = False
    if not found:
        raise SourceRefused(f"the library {steps[0]} is not installed on this server", line)
    modules[name] = None
    modules.update(dict.fromkeys(_LAZY.get(steps[0], ())))


def _dotted(node: ast.AST) -> list[str]:
    """``['np', 'random', 'rand']`` for ``np.random.rand``, [] for anything but names and attributes."""
    path: list[str] = []
    while isinstance(node, ast.Attribute):
        path.append(node.attr)
        node = node.value
    return [node.id, *reversed(path)] if path and isinstance(node, ast.Name) else []
