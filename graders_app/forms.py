"""One form per way to make a grader, and those of a grader's page. Each turns text into a document."""

from __future__ import annotations

import json

from django import forms

from graders_app.core.errors import GraderError
from graders_app.core.presets import judged_by
from graders_app.core.spec import METRICS as METRIC_NAMES
from rft_project.platforms.types import JsonDict
from rft_project.web.forms import StudioForm

from .documents import read_document, read_object
from .words import METRICS, OPERATIONS

MAX_DOCUMENT = 1_000_000  # characters
MAX_ANSWER = 200_000
TEMPLATE_HINT = "Text, or a field in double braces: {{sample.output_text}}, {{item.reference_answer}}."
DOCUMENT_ATTRS = {"class": "mono", "rows": 18, "spellcheck": "false", "autocapitalize": "off"}
SOURCE_ATTRS = {"class": "mono", "rows": 16, "spellcheck": "false", "autocapitalize": "off"}
FIRST_SOURCE = '''\
def grade(sample, item):
    """1 where the answer is the reference answer, half where it only contains it."""
    answer = sample["output_text"].strip().lower()
    right = item["reference_answer"].strip().lower()
    if answer == right:
        return 1.0
    return 0.5 if right in answer else 0.0
'''
FIRST_DOCUMENT = {
    "type": "multi",
    "name": "answer_and_length",
    "graders": {
        "similar": {
            "type": "text_similarity",
            "name": "similar",
            "input": "{{sample.output_text}}",
            "reference": "{{item.reference_answer}}",
            "evaluation_metric": "fuzzy_match",
        },
        "no_apology": {
            "type": "python",
            "name": "no_apology",
            "source": 'def grade(sample, item):\n    return 0.0 if "sorry" in sample["output_text"].lower() else 1.0\n',
        },
    },
    "calculate_output": "0.8 * similar + 0.2 * no_apology",
}


class SourceField(forms.CharField):
    """Python as it was typed, with the line ends of a file."""

    widget = forms.Textarea(attrs=SOURCE_ATTRS)

    def to_python(self, value):
        return (super().to_python(value) or "").replace("\r\n", "\n")


class NewGraderForm(StudioForm):
    name = forms.CharField(label="Name", max_length=120, help_text="What it checks, for you and your team.")

    def document(self) -> JsonDict:
        """The grader document of the values. Raises GraderError, whose ``field`` may be a field of the form."""
        raise NotImplementedError


class TemplatesForm(NewGraderForm):
    input = forms.CharField(
        label="Input", max_length=200_000, initial="{{sample.output_text}}", strip=False, help_text=TEMPLATE_HINT
    )
    reference = forms.CharField(
        label="Reference",
        max_length=200_000,
        initial="{{item.reference_answer}}",
        strip=False,
        help_text="What the input is compared with: text, or a field of the record in double braces.",
    )


class StringCheckForm(TemplatesForm):
    operation = forms.ChoiceField(label="The score is 1 where the input", choices=list(OPERATIONS.items()))
    field_order = ["name", "input", "operation", "reference"]

    def document(self) -> JsonDict:
        return {"type": "string_check", **self.to_params()}


class TextSimilarityForm(TemplatesForm):
    evaluation_metric = forms.ChoiceField(label="What is compared", choices=[(n, METRICS[n]) for n in METRIC_NAMES])
    field_order = ["name", "input", "reference", "evaluation_metric"]

    def document(self) -> JsonDict:
        return {"type": "text_similarity", **self.to_params()}


class PythonForm(NewGraderForm):
    source = SourceField(label="Source", max_length=300_000, strip=False, initial=FIRST_SOURCE)

    def document(self) -> JsonDict:
        return {"type": "python", **self.to_params()}


class JudgeForm(NewGraderForm):
    """A judge for one criterion, without a prompt to write."""

    criterion = forms.CharField(
        label="What to look for",
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="In plain words, as you would tell a colleague: what a good answer does, and what spoils it.",
    )
    compare = forms.ChoiceField(
        label="The judge sees",
        choices=[("reference", "the question and the reference answer"), ("question", "the question only")],
    )
    scale = forms.ChoiceField(
        label="Scale",
        choices=[
            ("1-5", "1 to 5, as in a review"),
            ("0-1", "0 to 1, with anything between"),
            ("1-10", "1 to 10"),
            ("0-100", "0 to 100"),
        ],
        help_text="What the judge answers; the score is shown as 0 to 1 all the same.",
    )

    def document(self) -> JsonDict:
        values = self.cleaned_data
        low, high = values["scale"].split("-")
        criterion, reference = values["criterion"].replace("\r\n", "\n"), values["compare"] == "reference"
        return judged_by(values.get("name", "judge"), criterion, reference=reference, scale=(int(low), int(high)))


class JsonForm(NewGraderForm):
    file = forms.FileField(
        label="File", required=False, help_text="A grader.json, exported here or elsewhere; taken instead of the text."
    )
    config = forms.CharField(
        label="Grader document",
        required=False,
        max_length=MAX_DOCUMENT,
        strip=False,
        initial=json.dumps(FIRST_DOCUMENT, indent=2),
        widget=forms.Textarea(attrs=DOCUMENT_ATTRS),
        help_text="The grader format of OpenAI, any type.",
    )

    def document(self) -> JsonDict:
        file = self.cleaned_data["file"]
        if file is None:
            return read_document(self.cleaned_data["config"], "config")
        if file.size > MAX_DOCUMENT:
            raise GraderError("this file is larger than 1 MB, which no grader needs.", "file")
        try:
            return read_document(file.read().decode("utf-8-sig"), "file")
        except UnicodeDecodeError:
            raise GraderError("this file is no text in UTF-8.", "file") from None


def _rows(text: str) -> int:
    """Rows of a text area that shows ``text`` without much empty space; long lines are wrapped at about 60."""
    return min(30, max(6, sum(1 + len(line) // 60 for line in text.splitlines()) + 1))


class ChangeForm(StudioForm):
    """``seen`` is the current version when the page was made; two such forms stand on one page."""

    seen = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, auto_id=f"{type(self).__name__.lower()}_%s", **kwargs)
        for name in {"config", "source"} & set(self.fields):
            self.fields[name].widget.attrs["rows"] = _rows(str(self[name].value() or ""))

    def document(self, config: JsonDict) -> JsonDict:
        """The next version of ``config``. Raises GraderError."""
        raise NotImplementedError


class EditForm(ChangeForm):
    """A change to the whole document."""

    config = forms.CharField(
        label="Grader document", max_length=MAX_DOCUMENT, strip=False, widget=forms.Textarea(attrs=DOCUMENT_ATTRS)
    )

    def document(self, config: JsonDict) -> JsonDict:
        return read_document(self.cleaned_data["config"], "config")


class SourceForm(ChangeForm):
    """A change to the source of a python grader, where JSON would be hard to type."""

    source = SourceField(label="Source", max_length=300_000, strip=False)

    def document(self, config: JsonDict) -> JsonDict:
        return {**config, "source": self.cleaned_data["source"]}


class DuplicateForm(StudioForm):
    name = forms.CharField(label="Name of the copy", max_length=120)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, auto_id="copy_%s", **kwargs)


class TryForm(StudioForm):
    answer = forms.CharField(
        label="Answer to score",
        max_length=MAX_ANSWER,
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What the model would say; graders read it as sample.output_text.",
    )
    item = forms.CharField(
        label="Record",
        max_length=MAX_DOCUMENT,
        strip=False,
        widget=forms.Textarea(attrs={"class": "mono", "rows": 6, "spellcheck": "false", "autocapitalize": "off"}),
        help_text="The fields of the record as JSON; graders read them as item.name.",
    )

    def clean_item(self):
        try:
            return read_object(self.cleaned_data["item"], "item")
        except GraderError as error:
            raise forms.ValidationError(str(error)) from None


class TakeForm(StudioForm):
    judge_model = forms.CharField(
        label="Model that judges",
        required=False,
        max_length=200,
        help_text="A platform's file needs it by its own name: gpt-4.1, or us.amazon.nova-premier-v1:0 on Bedrock.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
