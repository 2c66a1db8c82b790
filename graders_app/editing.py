"""A saved grader in the form that makes it: a change there is its next version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from graders_app.core.errors import GraderError
from rft_project.platforms.types import JsonDict
from rft_project.web.forms import StudioForm

from .dimensions import Dimensions
from .models import Grader
from .reading import Reading, readings
from .services import current_version, next_version


class SeenForm(StudioForm):
    """The current version when the page was made."""

    seen = forms.IntegerField(widget=forms.HiddenInput)


class Edit:
    """``dimensions`` for a grader of several, else ``form`` for one; ``saving``: it was sent to be saved."""

    def __init__(self, grader: Grader, data: Mapping[str, str] | None, *, dimensions: Dimensions | None) -> None:
        self.grader = grader
        self.saving = data is not None and "do" not in data
        current = current_version(grader.workspace, grader.name) or grader
        initial = {"seen": current.version if data is None else data.get("seen", "")}
        self.seen = SeenForm(data if self.saving else None, initial=initial)
        self.dimensions = dimensions
        self.form: forms.Form | None = None
        self.preset = ""

    def is_valid(self) -> bool:
        part: Any = self.dimensions or self.form
        return self.saving and all([self.seen.is_valid(), part.is_valid()])

    def save(self, *, by: Any) -> Grader:
        """The next version. Raises GraderError."""
        name = self.grader.config["name"]
        part: Any = self.form
        config: JsonDict = self.dimensions.document(name) if self.dimensions else {**part.document(), "name": name}
        return next_version(self.grader, config, seen=self.seen.cleaned_data["seen"], preset=self.preset, by=by)

    def refuse(self, error: GraderError) -> None:
        at_field = self.form is not None and error.field in self.form.fields
        (self.form if at_field and self.form is not None else self.seen).add_error(
            error.field if at_field else None, str(error)
        )


def open_edit(grader: Grader, data: Mapping[str, str] | None) -> Edit | None:
    """The form of ``grader`` as it is saved, or as ``data`` was sent; None where no form makes its document."""
    dimensions = Dimensions.of(grader.config)
    if dimensions is not None:
        saving = data is not None and "do" not in data
        return Edit(grader, data, dimensions=dimensions if data is None else Dimensions.typed(data, bound=saving))
    reading = editable(grader)
    if reading is None:
        return None
    edit = Edit(grader, data, dimensions=None)
    edit.form = reading.kind.form(data, initial=reading.values)
    del edit.form.fields["name"]
    edit.preset = grader.preset if grader.preset == reading.kind.preset else ""
    return edit


def editable(grader: Grader) -> Reading | None:
    """The form of a grader of one dimension, where it has something to set; source has a form on the grader's page."""
    found = (reading for reading in readings(grader.config) if reading.settings and reading.kind.slug != "python")
    return next(found, None)


def has_form(grader: Grader) -> bool:
    return Dimensions.of(grader.config) is not None or editable(grader) is not None
