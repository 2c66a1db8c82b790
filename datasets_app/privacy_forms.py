"""Forms of the page about personal data and secrets."""

from __future__ import annotations

from django import forms

from datasets_app.core.pii.kinds import KINDS
from rft_project.web.forms import StudioForm

from .forms import set_choices


class ScanForm(StudioForm):
    """``asked``: the form offered to look for names too."""

    asked = forms.BooleanField(required=False, widget=forms.HiddenInput, initial=True)
    names = forms.BooleanField(label="Names of people and places too", required=False)


class FindingsForm(StudioForm):
    """What is decided about findings: a kind, or some of its values; with ``some`` at least one must be ticked."""

    kind = forms.ChoiceField(choices=[(slug, kind.many) for slug, kind in KINDS.items()])
    values = forms.TypedMultipleChoiceField(coerce=int, required=False)
    some = forms.BooleanField(required=False)
    again = forms.BooleanField(required=False)  # no false alarm after all

    def __init__(self, data):
        super().__init__(data)
        ticked = [value for value in data.getlist("values") if value.isdecimal() and len(value) < 19]
        set_choices(self.fields["values"], [(value, value) for value in ticked])

    def clean(self):
        found = super().clean() or self.cleaned_data
        if found.get("some") and not found.get("values"):
            raise forms.ValidationError("Tick at least one value first.")
        return found

    def sentence(self) -> str:
        """What is wrong, for people."""
        return " ".join(str(error) for error in self.non_field_errors()) or "Choose one of the kinds on this page."
