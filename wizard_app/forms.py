"""One form per command of the wizard."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms

from graders_app.core.presets import PRESETS
from rft_project.platforms.types import Bound, ModelInfo
from rft_project.web.forms import StudioForm
from wizard_app.core.answering import EFFORTS, form_of
from wizard_app.core.splitting import DEFAULT_RATIO, MIN_VALIDATION
from wizard_app.schemas import DryRunParams

TYPED, LOGGED, SAMPLED = "typed", "logged", "sampled"  # whose answer is tried


class NewRunForm(StudioForm):
    name = forms.CharField(label="Name of the run", max_length=120, help_text="So that you find it again.")


class SplitForm(StudioForm):
    ratio = forms.FloatField(
        label="Share to train on",
        min_value=0.1,
        max_value=0.99,
        initial=DEFAULT_RATIO,
        help_text="The rest is kept aside to check with. 0.9 is usual, 0.8 for small datasets.",
    )
    min_validation = forms.IntegerField(
        label="At least this many to check with", min_value=1, max_value=1000, initial=MIN_VALIDATION
    )
    seed = forms.IntegerField(
        label="Seed", min_value=0, max_value=2**31 - 1, initial=0, help_text="Another seed draws other records."
    )
    stratify = forms.BooleanField(label="Same mix of topics on both sides", required=False, initial=True)
    generated_in_validation = forms.BooleanField(label="Check with generated records too", required=False)


class GraderChoiceForm(StudioForm):
    """Either a saved grader or a preset, as one choice: ``saved:12`` or ``preset:exact_label``."""

    choice = forms.CharField(max_length=60)

    def clean_choice(self) -> tuple[str, str]:
        kind, _, value = self.cleaned_data["choice"].partition(":")
        known = {preset.slug for preset in PRESETS}
        if (kind == "saved" and value.isdecimal()) or (kind == "preset" and value in known):
            return kind, value
        raise forms.ValidationError("Choose one of the graders.")


class TrialForm(StudioForm):
    """Score one answer to one record: typed, logged or fresh from a model."""

    how = forms.ChoiceField(choices=[(how, how) for how in (TYPED, LOGGED, SAMPLED)], required=False)
    item = forms.IntegerField(widget=forms.HiddenInput)
    answer = forms.CharField(
        label="Answer to score",
        max_length=20_000,
        strip=False,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class DryRunForm(StudioForm):
    model = forms.CharField(max_length=300, widget=forms.HiddenInput)  # connection|model, the value of a card
    size = forms.IntegerField(
        label="Prompts",
        min_value=1,
        max_value=5000,
        initial=DryRunParams.model_fields["size"].default,
        help_text="200 to 500 give firm numbers. With fewer training prompts all of them are asked.",
    )
    answers = forms.IntegerField(
        label="Answers to each",
        min_value=2,
        max_value=64,
        initial=4,
        help_text="Training learns from how they differ.",
    )
    reasoning_effort = forms.ChoiceField(
        label="Reasoning effort",
        required=False,
        choices=[("", "As the model does by itself"), *((effort, effort.capitalize()) for effort in EFFORTS)],
        help_text="How long it thinks before it answers. Thoughts are paid for like answers.",
    )
    answer_schema = forms.CharField(
        label="JSON schema of an answer",
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
        help_text="Every answer is then JSON of this shape. Each object names all its properties as required and says "
        '"additionalProperties": false.',
    )

    def clean_model(self) -> tuple[str, str]:
        """Key of the connection and id of the model; whether they exist is the service's question."""
        connection, _, model = self.cleaned_data["model"].partition("|")
        try:
            return str(UUID(connection)), model
        except ValueError:
            raise forms.ValidationError("Choose a model.") from None

    def clean_answer_schema(self) -> dict[str, Any] | None:
        """As a ``response_format``."""
        try:
            return form_of(self.cleaned_data["answer_schema"])
        except ValueError as fault:
            raise forms.ValidationError(str(fault)) from None

    def problem(self) -> str:
        """The sentence for people where the form is not valid."""
        return str(next(iter(self.errors.get("answer_schema", [])), "Choose a model, and numbers within their limits."))


class OverrideForm(StudioForm):
    reason = forms.CharField(label="Why train all the same?", max_length=300)


class BoundForm(StudioForm):
    """Fields within the bounds that a model's catalogue entry gives."""

    def add(self, bounds: dict[str, Bound]) -> None:
        for name, bound in bounds.items():
            self.fields[name] = _field(name, bound)
            self.fields[name].widget.attrs["class"] = "input"

    def chosen(self, bounds: dict[str, Bound]) -> dict:
        """What was set by hand; the platform's own default stands for what was left empty."""
        given = self.to_params()
        return {name: given[name] for name in bounds if given.get(name) not in (None, "")}


class TrainForm(BoundForm):
    """Hyperparameters of one model and its platform's own options. The effort it thinks with is the dry run's."""

    def __init__(self, *args, info: ModelInfo, **kwargs):
        super().__init__(*args, **kwargs)
        self.info = info
        self.add(info.options | self._settings())

    def hyperparameters(self) -> dict:
        return self.chosen(self._settings())

    def _settings(self) -> dict[str, Bound]:
        return {name: bound for name, bound in self.info.hyperparameters.items() if name != self.info.effort_setting}

    def options(self) -> dict:
        """What only this platform has."""
        return self.chosen(self.info.options)


class DeployForm(BoundForm):
    """Which model of a training, and its platform's own options."""

    def __init__(self, *args, models: dict[str, str], bounds: dict[str, Bound], **kwargs):
        super().__init__(*args, **kwargs)
        self.models, self.bounds = models, bounds
        self.fields["model"] = forms.ChoiceField(label="Model", required=False, choices=list(models.items()))
        self.fields["model"].widget.attrs["class"] = "input"
        self.add(bounds)

    def options(self) -> dict:
        return self.chosen(self.bounds)


def _field(name: str, bound: Bound) -> forms.Field:
    label = bound.label or name.replace("_", " ").capitalize()
    common: dict[str, Any] = {"label": label, "required": False, "help_text": bound.help, "initial": bound.default}
    if bound.choices:
        return forms.ChoiceField(choices=[(c, c) for c in bound.choices], **common)
    if isinstance(bound.default, str) and bound.default != "auto":
        return forms.CharField(max_length=200, **common)
    common |= {"min_value": bound.minimum, "max_value": bound.maximum}
    return forms.IntegerField(**common) if bound.integer else forms.FloatField(**common)


class PlaygroundForm(StudioForm):
    prompt = forms.CharField(
        label="What a user writes",
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="The system prompt and examples of your records are put before it.",
    )


class RatingForm(forms.Form):
    rollout = forms.IntegerField()
    step = forms.IntegerField(min_value=0, max_value=4)
