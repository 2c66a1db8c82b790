"""Names of people and places, where spaCy and one of its models are installed. Neither comes with the product: it is
some thousand times slower than the rules, and no rule can do it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from datasets_app.core.pii.scanning import Detector, Finding

_KIND_OF = {"PERSON": "person", "PER": "person", "GPE": "place", "LOC": "place"}
_LONGEST = 100_000  # characters; the model's own limit is a million, and takes a gigabyte for it


def installed_models() -> list[str]:
    """spaCy models that can be loaded, by name; empty where spaCy is not installed."""
    if importlib.util.find_spec("spacy") is None:
        return []
    return sorted({point.name for point in entry_points(group="spacy_models")})


def names_detector() -> Detector | None:
    """Finds people and places with the first installed model, or None."""
    models = installed_models()
    return _detector(models[0]) if models else None


@cache
def _detector(model: str) -> Detector:
    spacy: Any = importlib.import_module("spacy")
    read = spacy.load(model, exclude=["lemmatizer", "attribute_ruler"])

    def detect(text: str) -> Iterator[Finding]:
        for entity in read(text[:_LONGEST]).ents:
            kind = _KIND_OF.get(entity.label_)
            if kind and entity.text.strip():
                yield Finding(kind, entity.start_char, entity.end_char, entity.text)

    return detect
