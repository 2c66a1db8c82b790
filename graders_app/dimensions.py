"""The form of a grader with several dimensions: one row for each, with the settings of what it checks and a weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from graders_app.core.dimensions import Dimension, join, take_apart, whole_percents
from graders_app.core.errors import GraderError
from rft_project.platforms.types import JsonDict
from rft_project.web.forms import StudioForm

from .kinds import KINDS, PRESET_KINDS, TYPE_KINDS, Kind
from .reading import read_kind
from .services import check_document

FEWEST, MOST = 2, 8
CHOICES = [
    ("Ready-made", [(kind.slug, kind.title) for kind in PRESET_KINDS]),
    ("Your own", [(kind.slug, kind.title) for kind in TYPE_KINDS if kind.slug != "json"]),
]
FIRST = [{"kind": "similarity", "weight": "70"}, {"kind": "conciseness", "weight": "30"}]
TITLES = {kind.title for kind in KINDS.values()}


class HeadForm(StudioForm):
    """What a row checks and how much it counts; the settings of that stand beside it."""

    kind = forms.ChoiceField(label="What it checks", choices=CHOICES)
    weight = forms.IntegerField(
        label="Weight",
        min_value=0,
        max_value=100,
        widget=forms.NumberInput(attrs={"type": "range", "min": "0", "max": "100", "step": "1"}),
    )


class Row:
    """One dimension. ``values``: what was typed, by field; ``bound`` where that is to be checked."""

    def __init__(self, number: int, values: Mapping[str, str], *, weight: int, bound: bool = False) -> None:
        self.number, self.weight = number, weight
        self.kind = self._kind(values.get("kind", ""))
        name = values.get("name", "")
        typed = {**values, "weight": str(weight), "kind": self.kind.slug}
        typed["name"] = self.kind.title if not name or name in TITLES else name
        self.prefix = prefix = f"d{number}"
        given: dict[str, Any] = {"prefix": prefix}
        given |= {"data": {f"{prefix}-{key}": value for key, value in typed.items()}} if bound else {"initial": typed}
        self.head = HeadForm(**given)
        self.settings = self.kind.form(**given)
        self.settings.fields["name"].label = "What to call it"
        self.settings.fields["name"].help_text = "As it stands beside its score."

    @staticmethod
    def _kind(slug: str) -> Kind:
        usable = slug in KINDS and slug != "json"
        return KINDS[slug if usable else FIRST[0]["kind"]]

    @property
    def title(self) -> str:
        return str(self.settings["name"].value() or self.kind.title)

    def is_valid(self) -> bool:
        """The row can be saved; mistakes stand at their fields."""
        if not (self.head.is_valid() and self.settings.is_valid()):
            return False
        if self.weight == 0:
            self.head.add_error("weight", "A weight of 0 counts for nothing: give it one, or remove the dimension.")
        try:
            check_document({**self.settings.document(), "name": self.title})
        except GraderError as error:
            self.settings.add_error(error.field if error.field in self.settings.fields else None, str(error))
        return not (self.head.errors or self.settings.errors)

    def dimension(self) -> Dimension:
        return Dimension(self.title, self.settings.document(), self.weight)


class Dimensions:
    """The rows, of which there are at least two; their weights always sum to 100."""

    def __init__(self, values: Sequence[Mapping[str, str]], *, bound: bool = False) -> None:
        weights = whole_percents([_weight(each.get("weight", "")) for each in values])
        self.rows = [
            Row(number, each, weight=weight, bound=bound)
            for number, (each, weight) in enumerate(zip(values, weights, strict=True))
        ]

    @classmethod
    def fresh(cls) -> Dimensions:
        return cls(FIRST)

    @classmethod
    def of(cls, config: JsonDict) -> Dimensions | None:
        """The rows that make exactly ``config``; None where it was written by hand."""
        values = []
        for part in take_apart(config) or []:
            reading = read_kind(part.config)
            if reading is None:
                return None
            head = {"kind": reading.kind.slug, "weight": str(part.weight), "name": part.name}
            values.append({**reading.values, **head})
        whole = FEWEST <= len(values) <= MOST and sum(int(row["weight"]) for row in values) == 100
        return cls(values) if whole else None

    @classmethod
    def typed(cls, data: Mapping[str, str], *, bound: bool = False) -> Dimensions:
        """What a page sent, after its button ``do``: ``add``, ``remove:NUMBER`` or none."""
        rows = [_row_values(data, number) for number in range(min(MOST, _whole(data.get("rows", "")) or FEWEST))]
        do, _, which = data.get("do", "").partition(":")
        if do == "add" and len(rows) < MOST:
            share = sum(_weight(row.get("weight", "")) for row in rows) / len(rows)
            rows.append({"kind": "exact_label", "weight": str(share)})
        if do == "remove" and len(rows) > FEWEST and _whole(which) < len(rows):
            del rows[_whole(which)]
        return cls(rows, bound=bound)

    @property
    def can_add(self) -> bool:
        return len(self.rows) < MOST

    @property
    def can_remove(self) -> bool:
        return len(self.rows) > FEWEST

    def is_valid(self) -> bool:
        checked = [row.is_valid() for row in self.rows]  # every row says what is wrong with it
        return all(checked)

    def document(self, name: str) -> JsonDict:
        """The grader of valid rows."""
        return join(name, [row.dimension() for row in self.rows])


def _row_values(data: Mapping[str, str], number: int) -> dict[str, str]:
    prefix = f"d{number}-"
    return {key.removeprefix(prefix): data[key] for key in data if key.startswith(prefix)}


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0


def _weight(text: str) -> float:
    """A weight as it was sent; what is none counts as 0."""
    try:
        return min(100.0, max(0.0, float(text)))
    except ValueError:
        return 0.0
