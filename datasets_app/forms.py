"""One form per command; each turns strings into what the domain takes."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms

from datasets_app.core.exporting.catalogue import FORMATS
from datasets_app.core.formats import AUTO, TABLE
from datasets_app.core.mapping import FieldMapping
from datasets_app.core.preview import Preview
from datasets_app.core.sanitizing import DEFAULT_THRESHOLD, SanitizeConfig
from datasets_app.core.sort_settings import SortSettings
from rft_project.web.forms import StudioForm
from rft_project.web.text import plural

from .embedding import Offer
from .staging import EDGE, Offered, safe_name

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
        help_text=".jsonl, .json, .csv or .parquet, also as .gz or .zip. Large files are fine.",
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

    @property
    def recognised(self) -> list[str]:
        return [format.label for format in TABLE]

    def clean(self):
        cleaned = super().clean() or {}
        file, pasted = cleaned.get("file"), (cleaned.get("pasted") or "").strip()
        if not self.errors and bool(file) == bool(pasted):
            raise forms.ValidationError("Choose a file or paste lines, one of the two.")
        return cleaned


class NewDatasetForm(SourceForm):
    name = forms.CharField(label="Name", max_length=120, help_text="What these traces are, for you and your team.")
    field_order = ["name", "file", "pasted"]


class UploadForm(StudioForm):
    """What a browser says of a file before it sends it. ``head`` and ``tail`` are its first and last bytes."""

    name = forms.CharField(max_length=120, required=False)
    filename = forms.CharField(max_length=1000)
    size = forms.IntegerField(min_value=0, max_value=2**62)
    modified = forms.IntegerField(min_value=0, max_value=2**62)
    head = forms.FileField(allow_empty_file=True)
    tail = forms.FileField(allow_empty_file=True)

    def clean_size(self) -> int:
        if not self.cleaned_data["size"]:
            raise forms.ValidationError("The file is empty; choose another one.")
        return self.cleaned_data["size"]

    def offered(self) -> Offered:
        given = self.cleaned_data
        ends = {name: given[name].read(EDGE) for name in ("head", "tail")}
        return Offered(safe_name(given["filename"]), given["size"], given["modified"], **ends)


class ImportForm(StudioForm):
    """How a file is read. ``found`` is what a look at its beginning offers."""

    format = forms.ChoiceField(label="Format", help_text="Each record is recognised by itself unless you choose one.")
    reference_field = forms.ChoiceField(
        label="Reference answer",
        required=False,
        help_text="The field that holds the right answer. Graders compare with it; the model never sees it.",
    )
    span_id = forms.ChoiceField(
        label="Id of the record", required=False, help_text="Two records with one id count as duplicates."
    )
    session_id = forms.ChoiceField(
        label="Id of the session", required=False, help_text="What joins the turns of one conversation."
    )
    limit = forms.IntegerField(
        label="Lines to read", required=False, min_value=1, max_value=10**12, help_text="Empty: all of them."
    )
    items = forms.MultipleChoiceField(
        label="Fields a grader may read",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="The others are kept in the metadata.",
    )
    others = forms.BooleanField(required=False)
    shown_for = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args, formats: list[tuple[str, str]], found: Preview, others: int = 0, **kwargs):
        super().__init__(*args, **kwargs)
        self.found = found
        places = [(p.path, f"{p.path} (in {p.filled} of {found.readable}: {p.example})"[:120]) for p in found.places]
        ids = [place for place in places if not place[0].startswith(("reference_answer", "output."))]
        items = [(i.path, f"{i.name} (in {i.filled} of {found.readable}: {i.example})"[:120]) for i in found.items]
        set_choices(self.fields["format"], formats)
        set_choices(self.fields["reference_field"], [("", "None, or the record's own reference_answer"), *places])
        for name in ("span_id", "session_id"):
            set_choices(self.fields[name], [("", "As the format says"), *ids])
        set_choices(self.fields["items"], items)
        if not items:
            del self.fields["items"]
        if others > 0:
            self.fields["others"].label = f"Read {plural(others, 'other waiting file')} the same way"
        else:
            del self.fields["others"]

    def mapping(self) -> FieldMapping:
        given, chosen = self.cleaned_data, set(self.cleaned_data.get("items", ()))
        return FieldMapping(
            reference=given["reference_field"],
            span_id=given["span_id"],
            session_id=given["session_id"],
            fields={i.name: i.path for i in self.found.items if not i.given and i.path in chosen},
            left_out=tuple(i.name for i in self.found.items if i.given and i.path not in chosen),
        )


class MendForm(StudioForm):
    text = forms.CharField(
        label="The line",
        max_length=MAX_PASTE,
        strip=False,
        help_text="One JSON object. It is imported as it stands here, in its old place in the file.",
        widget=forms.Textarea(attrs={"rows": 14, "spellcheck": "false"}),
    )


class RereadForm(StudioForm):
    format = forms.ChoiceField(label="Read them as")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        set_choices(self.fields["format"], [(AUTO, "Recognise each line"), *((f.name, f.label) for f in TABLE)])


class SanitizeForm(StudioForm):
    min_user_message_length = forms.IntegerField(
        label="Shortest user message",
        min_value=0,
        max_value=10_000,
        help_text='In characters. A message like "ok" teaches nothing; 10 is a good start.',
    )
    max_tokens = forms.IntegerField(
        label="Longest conversation",
        min_value=1,
        max_value=1_000_000,
        help_text="In tokens. Longer ones are set aside: they cost most and may not fit the model.",
    )
    near_duplicates = forms.BooleanField(
        label="Set near-duplicates aside",
        required=False,
        help_text="Compares what the user wrote, not the system prompt. Repeats teach one question only.",
    )
    near_threshold = forms.DecimalField(
        label="How alike they must be",
        required=False,
        min_value=Decimal("0.5"),
        max_value=1,
        decimal_places=2,
        help_text="1 is word for word. At 0.85 texts that differ in a number or a name still count as one.",
        widget=forms.NumberInput(attrs={"step": "0.01", "data-mirror": "near-slider"}),
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
        threshold = {"near_duplicates": near, "near_threshold": config.near_duplicates or DEFAULT_THRESHOLD}
        return cls(initial={**config.model_dump(), **words, **threshold})

    def clean_required_fields(self) -> list[str]:
        return words_in(self.cleaned_data["required_fields"])

    def clean_allowed_roles(self) -> list[str]:
        return words_in(self.cleaned_data["allowed_roles"])


class SortForm(StudioForm):
    """How records are sorted. ``offers``: the embeddings that can be chosen."""

    embeddings = forms.ChoiceField(widget=forms.RadioSelect)
    threshold = forms.DecimalField(
        label="Sure enough without the helper model",
        min_value=0,
        max_value=1,
        decimal_places=2,
        help_text="0 to 1. Where a connection names a helper model, it is asked about what is less sure than this.",
        widget=forms.NumberInput(attrs={"step": "0.05"}),
    )

    def __init__(self, *args, offers: Sequence[Offer], **kwargs):
        super().__init__(*args, **kwargs)
        self.offers = offers
        set_choices(self.fields["embeddings"], [(offer.id, offer.title) for offer in offers])

    @property
    def offered(self) -> list[tuple[Any, Offer]]:
        """Every radio with what it stands for."""
        return list(zip(self["embeddings"], self.offers, strict=True))

    def settings(self) -> SortSettings:
        given = self.cleaned_data
        return SortSettings(threshold=float(given["threshold"]), embeddings=given["embeddings"])


class ExportForm(StudioForm):
    """Which records, in which form. ``source`` is a part of a snapshot as "12:train", or "" for the records."""

    format = forms.ChoiceField(choices=[(format.name, format.label) for format in FORMATS.values()])
    source = forms.ChoiceField(
        label="Records", required=False, initial="", help_text="A split is frozen: it is what a run used."
    )
    verdict = forms.ChoiceField(
        label="Verdict", required=False, initial="valid", help_text="A split holds valid records only."
    )
    topic = forms.ChoiceField(label="Topic", required=False, initial="")
    gzip = forms.BooleanField(
        label="Pack the file (gzip)", required=False, help_text="Not for platforms and not for Parquet."
    )

    def __init__(self, *args, sources, verdicts, topics, **kwargs):
        super().__init__(*args, **kwargs)
        set_choices(self.fields["source"], sources)
        set_choices(self.fields["verdict"], verdicts)
        set_choices(self.fields["topic"], [("", "Any topic"), *((name, name) for name in topics)])
