"""One form per preset: what a preset cannot take from the records."""

from __future__ import annotations

from django import forms

from graders_app.core.errors import GraderError
from graders_app.core.presets import PresetContext, load_preset
from rft_project.platforms.types import JsonDict

from .documents import read_document
from .forms import MAX_DOCUMENT, NewGraderForm


def text_lines(text: str) -> list[str]:
    """Distinct lines that are not empty, in order."""
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


class PresetForm(NewGraderForm):
    """A preset that needs nothing but the records."""

    slug = "exact_label"

    def context(self) -> PresetContext:
        return PresetContext()

    def document(self) -> JsonDict:
        return load_preset(self.slug).build(self.context())


class LabelsForm(PresetForm):
    slug = "label_partial_credit"
    labels = forms.CharField(
        label="Labels",
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false"}),
        help_text="One per line, as they stand in the reference answers.",
    )

    def context(self) -> PresetContext:
        return PresetContext(labels=text_lines(self.cleaned_data["labels"]))


class FormatForm(PresetForm):
    slug = "format_compliance"
    fields_wanted = forms.CharField(
        label="Required fields",
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
        help_text="One per line: the keys that the JSON object of a good answer has.",
    )

    def context(self) -> PresetContext:
        return PresetContext(json_fields=text_lines(self.cleaned_data["fields_wanted"]))


class ConcisenessForm(PresetForm):
    slug = "conciseness"
    target_chars = forms.IntegerField(
        label="Target length",
        min_value=1,
        max_value=100_000,
        initial=400,
        help_text="In characters. Up to here an answer gets the full score, twice as long gets half of that part.",
    )

    def context(self) -> PresetContext:
        return PresetContext(typical_answer_chars=self.cleaned_data["target_chars"])


class NumericForm(PresetForm):
    slug = "numeric_answer"
    tolerance = forms.FloatField(
        label="Tolerance",
        min_value=0,
        max_value=1,
        initial=1e-6,
        help_text="Relative to the right number: 0.01 lets an answer be 1 % off.",
    )

    def context(self) -> PresetContext:
        return PresetContext(tolerance=self.cleaned_data["tolerance"])


class SimilarityForm(PresetForm):
    slug = "similarity"


class ToolCallForm(PresetForm):
    slug = "tool_call_match"


class ToolUsageForm(PresetForm):
    slug = "tool_usage"


class CorrectnessForm(PresetForm):
    slug = "correctness"


class SchemaForm(PresetForm):
    slug = "json_schema"
    schema = forms.CharField(
        label="JSON schema",
        max_length=MAX_DOCUMENT,
        strip=False,
        widget=forms.Textarea(attrs={"class": "mono", "rows": 12, "spellcheck": "false", "autocapitalize": "off"}),
        help_text="As for structured output: type, properties, required, enum, items and their like.",
    )

    def context(self) -> PresetContext:
        schema = read_document(self.cleaned_data["schema"], "schema")
        if not schema:
            raise GraderError("write a schema that asks for something.", "schema")
        return PresetContext(json_schema=schema)


PRESET_FORMS: dict[str, type[PresetForm]] = {
    form.slug: form
    for form in (
        PresetForm,
        LabelsForm,
        NumericForm,
        SimilarityForm,
        ToolCallForm,
        ToolUsageForm,
        SchemaForm,
        FormatForm,
        ConcisenessForm,
        CorrectnessForm,
    )
}
