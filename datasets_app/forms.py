"""One form per command; each turns strings into what the domain takes."""

from __future__ import annotations

from django import forms

from datasets_app.core import topics as trees
from datasets_app.core.sanitizing import SanitizeConfig
from datasets_app.core.topic_templates import TEMPLATES
from rft_project.web.forms import StudioForm

MAX_PASTE = 2_000_000  # characters; more is a file


def set_choices(field: forms.Field, choices: list[tuple[str, str]]) -> None:
    """Choices that are only known when the form is made."""
    assert isinstance(field, forms.ChoiceField)
    field.choices = choices


def words_in(text: str) -> list[str]:
    """What stands between the commas, without repeats."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


class SourceForm(StudioForm):
    """Where traces come from: a file or pasted lines, exactly one of them."""

    file = forms.FileField(
        label="File",
        required=False,
        help_text=".jsonl, .json, .gz or .zip. Large files are fine.",
        allow_empty_file=True,
    )
    pasted = forms.CharField(
        label="Or paste",
        required=False,
        max_length=MAX_PASTE,
        strip=False,
        help_text="One JSON object a line.",
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
    )

    def clean(self):
        cleaned = super().clean() or {}
        file, pasted = cleaned.get("file"), (cleaned.get("pasted") or "").strip()
        if not self.errors and bool(file) == bool(pasted):
            raise forms.ValidationError("Choose a file or paste lines, one of the two.")
        return cleaned


class NewDatasetForm(SourceForm):
    name = forms.CharField(label="Name", max_length=120, help_text="What these traces are, for you and your team.")
    field_order = ["name", "file", "pasted"]


class ImportForm(StudioForm):
    format = forms.ChoiceField(label="Format", help_text="Each record is recognised by itself unless you choose one.")
    reference_field = forms.ChoiceField(
        label="Reference answer",
        required=False,
        help_text="The field that holds the right answer. Graders compare with it; the model never sees it.",
    )

    def __init__(self, *args, formats, fields, **kwargs):
        super().__init__(*args, **kwargs)
        set_choices(self.fields["format"], formats)
        set_choices(self.fields["reference_field"], fields)


class SanitizeForm(StudioForm):
    min_user_message_length = forms.IntegerField(
        label="Shortest user message", min_value=0, max_value=10_000, help_text="In characters. 10 is a good start."
    )
    max_tokens = forms.IntegerField(
        label="Longest conversation",
        min_value=1,
        max_value=1_000_000,
        help_text="In tokens. Longer ones are set aside.",
    )
    near_duplicates = forms.BooleanField(
        label="Set near-duplicates aside",
        required=False,
        help_text="Compares what the user wrote, not the system prompt.",
    )
    required_fields = forms.CharField(
        label="Fields every record needs",
        required=False,
        max_length=500,
        help_text="What your grader reads, such as reference_answer, separated by commas. Empty: none.",
    )
    allowed_roles = forms.CharField(
        label="Roles allowed", max_length=300, help_text="Separated by commas. Models know these four."
    )

    @classmethod
    def of(cls, config: SanitizeConfig) -> SanitizeForm:
        """The form as ``config`` fills it in."""
        words = {name: ", ".join(getattr(config, name)) for name in ("required_fields", "allowed_roles")}
        near = config.near_duplicates is not None
        return cls(initial={**config.model_dump(), **words, "near_duplicates": near})

    def clean_required_fields(self) -> list[str]:
        return words_in(self.cleaned_data["required_fields"])

    def clean_allowed_roles(self) -> list[str]:
        return words_in(self.cleaned_data["allowed_roles"])


class TopicsForm(StudioForm):
    """How the tree is made: from the data, or from a template."""

    template = forms.ChoiceField(label="Template", required=False, initial="")
    clusters = forms.IntegerField(
        label="Number of topics", required=False, min_value=2, max_value=60, help_text="Empty: the data decide."
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        set_choices(self.fields["template"], [("", "Choose one"), *((t.key, t.title) for t in TEMPLATES.values())])


class EditTopicForm(StudioForm):
    """One edit of the tree. ``edit`` says which; the others are its operands."""

    edit = forms.ChoiceField(choices=[(e, e) for e in ("add", "change", "merge", "delete", "undo")])
    name = forms.CharField(required=False, max_length=trees.MAX_NAME)
    new_name = forms.CharField(label="Name", required=False, max_length=trees.MAX_NAME)
    description = forms.CharField(label="Description", required=False, max_length=500)
    keywords = forms.CharField(label="Keywords", required=False, max_length=2000, help_text="Separated by commas.")
    into = forms.CharField(required=False, max_length=trees.MAX_NAME)

    def keyword_list(self) -> list[str]:
        return words_in(self.cleaned_data["keywords"])
