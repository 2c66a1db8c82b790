"""Several dimensions in one grader: each a grader of its own with a weight, joined as OpenAI's multi grader.

A weight is a whole percentage, and the weights of a grader sum to 100, so that the best answer scores 1. A multi grader
cannot hold another, so a dimension that has parts is laid flat: its parts get the dimension's key before their own, and
its formula stands in brackets. ``take_apart`` is the inverse of ``join``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rft_project.platforms.types import JsonDict

from .formula import FUNCTIONS

_WORD = re.compile(r"[^\W\d]\w*")
_TERM = re.compile(r"(\d+(?:\.\d+)?) \* (.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Dimension:
    """``name``: as people read it; ``config``: a grader document of any type; ``weight``: percent, 0 to 100."""

    name: str
    config: JsonDict
    weight: int


def whole_percents(weights: Sequence[float]) -> list[int]:
    """``weights`` in proportion as whole numbers that sum to 100 (largest remainder); all 0 become equal shares."""
    if not weights:
        return []
    sizes = list(weights) if sum(weights) > 0 else [1.0] * len(weights)
    shares = [100 * size / sum(sizes) for size in sizes]
    whole = [int(share) for share in shares]
    by_rest = sorted(range(len(shares)), key=lambda at: whole[at] - shares[at])
    for at in by_rest[: 100 - sum(whole)]:
        whole[at] += 1
    return whole


def join(name: str, dimensions: Iterable[Dimension]) -> JsonDict:
    """The multi grader of ``dimensions``; their weights are taken as they are."""
    graders: JsonDict = {}
    terms = []
    for dimension in dimensions:
        children = _children(dimension)
        key = _free_key(dimension.name, children, graders)
        graders.update({_joined(key, child): config for child, config in children.items()})
        score = key
        if dimension.config["type"] == "multi":
            new = {child: _joined(key, child) for child in children}
            score = f"({_renamed(dimension.config['calculate_output'], new)})"
        terms.append(f"{dimension.weight / 100:g} * {score}")
    return {"type": "multi", "name": name, "graders": graders, "calculate_output": " + ".join(terms)}


def take_apart(config: JsonDict) -> list[Dimension] | None:
    """The dimensions that ``join`` makes exactly ``config`` of; None where it was made in another way."""
    if config.get("type") != "multi":
        return None
    found = [_read_term(term, config["graders"]) for term in _terms(config["calculate_output"])]
    dimensions = [dimension for dimension in found if dimension is not None]
    same = len(dimensions) == len(found) and join(config["name"], dimensions) == config
    return dimensions if same else None


def _children(dimension: Dimension) -> dict[str, JsonDict]:
    """Its parts by their key, '' where it has none; the name of each says which dimension it belongs to."""
    if dimension.config["type"] != "multi":
        return {"": {**dimension.config, "name": dimension.name}}
    return {
        child: {**config, "name": f"{dimension.name}: {child}"} for child, config in dimension.config["graders"].items()
    }


def _joined(key: str, child: str) -> str:
    return f"{key}_{child}" if child else key


def _free_key(name: str, children: Iterable[str], taken: Iterable[str]) -> str:
    """A name for formulas out of ``name``: small letters, digits and underscores, nobody else's, no function's."""
    base = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:60] or "dimension"
    if base[0].isdigit() or base in FUNCTIONS:
        base = f"d_{base}"
    key, number = base, 1
    while any(_joined(key, child) in taken for child in children):
        number += 1
        key = f"{base}_{number}"
    return key


def _renamed(formula: str, new: Mapping[str, str]) -> str:
    return _WORD.sub(lambda word: new.get(word.group(), word.group()), formula)


def _terms(formula: str) -> list[str]:
    """``formula`` cut at each plus that stands in no brackets."""
    terms, depth = [""], 0
    for piece in re.split(r"([()]| \+ )", formula):
        depth += (piece == "(") - (piece == ")")
        if piece == " + " and depth == 0:
            terms.append("")
        else:
            terms[-1] += piece
    return terms


def _read_term(term: str, graders: JsonDict) -> Dimension | None:
    match = _TERM.fullmatch(term)
    if match is None:
        return None
    weight, score = round(float(match[1]) * 100), match[2]
    if score in graders:
        return Dimension(graders[score]["name"], graders[score], weight)
    keys = [key for key in graders if key in _WORD.findall(score)]
    parts = {key: graders[key]["name"].rpartition(": ") for key in keys}
    names = {name for name, _, _ in parts.values()}
    if len(names) != 1 or not (score.startswith("(") and score.endswith(")")):
        return None
    inner = {child: {**graders[key], "name": child} for key, (_, _, child) in parts.items()}
    formula = _renamed(score[1:-1], {key: child for key, (_, _, child) in parts.items()})
    (name,) = names
    return Dimension(name, {"type": "multi", "name": name, "graders": inner, "calculate_output": formula}, weight)
