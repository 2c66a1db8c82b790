"""The plan of a generation as a form: one line per topic, and what holds for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from datasets_app.core.generating import EXAMPLES, MAX_SYNTHETIC, MIX, MOST, STRATEGIES, Plan, TopicPlan
from datasets_app.forms import set_choices
from rft_project.web.forms import StudioForm

PRICE = "USD per million tokens; 0 for a model of yours."
HOW = [(name, label) for name, (label, _) in STRATEGIES.items()]


class PlanForm(StudioForm):
    """``plan``: what is suggested; ``usable``: strategies that are possible, per topic of the tree."""

    share = forms.IntegerField(
        label="At most generated, %",
        min_value=1,
        max_value=95,
        help_text="Of all valid records. A model that learns mostly from generated prompts learns what they are like.",
    )
    max_calls = forms.IntegerField(
        label="At most so many calls", min_value=1, max_value=100_000, help_text="The run stops there, whatever it has."
    )
    price_in = forms.FloatField(label="Price of input", min_value=0, required=False, help_text=PRICE)
    price_out = forms.FloatField(
        label="Price of output",
        min_value=0,
        required=False,
        help_text=PRICE,
    )
    max_usd = forms.FloatField(
        label="Stop at, USD", min_value=0.001, required=False, help_text="Needs both prices. Empty: no limit."
    )
    SHARED = ("share", "max_calls", "price_in", "price_out", "max_usd")

    def __init__(
        self, data: Mapping[str, Any] | None, *, plan: Plan, usable: Mapping[str, list[str]], **kwargs: Any
    ) -> None:
        self.topics = list(usable)
        start: dict[str, Any] = {
            "share": round(100 * MAX_SYNTHETIC),
            "max_calls": plan.max_calls,
            "price_in": plan.price_in,
            "price_out": plan.price_out,
            "max_usd": plan.max_usd,
        }
        wanted = {topic.topic: topic for topic in plan.topics}
        for name in self.topics:
            topic = wanted.get(name, TopicPlan(topic=name, number=0))
            start |= {f"number-{name}": topic.number, f"how-{name}": MIX, f"shown-{name}": topic.examples}
        super().__init__(data, initial=start, **kwargs)
        for name, strategies in usable.items():
            self.fields[f"number-{name}"] = _small(f"Records for {name}", 0, MOST)
            how = forms.ChoiceField(label=f"Strategy for {name}", widget=forms.Select(attrs={"class": "input"}))
            set_choices(how, [(value, label) for value, label in HOW if value == MIX or value in strategies])
            self.fields[f"how-{name}"] = how
            self.fields[f"shown-{name}"] = _small(f"Examples in a call for {name}", 1, 12)

    def plan(self) -> Plan:
        """Of a valid form."""
        given = self.cleaned_data
        topics = [
            TopicPlan(
                topic=name,
                number=given[f"number-{name}"],
                strategy=given[f"how-{name}"],
                examples=given[f"shown-{name}"] or EXAMPLES,
            )
            for name in self.topics
        ]
        shared = {name: given[name] for name in self.SHARED if name != "share"}
        return Plan(topics=topics, max_synthetic_ratio=given["share"] / 100, **shared)


def _small(label: str, least: int, most: int) -> forms.IntegerField:
    widget = forms.NumberInput(attrs={"class": "input", "inputmode": "numeric"})
    return forms.IntegerField(label=label, min_value=least, max_value=most, widget=widget)


class ConnectHelperForm(StudioForm):
    """Two fields for any server of chat completions, and its key where it wants one."""

    address = forms.CharField(
        label="Address",
        max_length=300,
        help_text="Ollama: http://127.0.0.1:11434 · llama.cpp: http://127.0.0.1:8080 · vLLM: https://host:8000",
    )
    model = forms.CharField(label="Model", max_length=200, help_text="As the server calls it, such as qwen3:8b")
    key = forms.CharField(
        label="Key",
        max_length=500,
        required=False,
        help_text="Only where the server asks for one. Kept encrypted.",
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def clean_key(self) -> str:
        key: str = self.cleaned_data["key"]
        if not key.isascii() or not key.isprintable() or " " in key:
            raise forms.ValidationError("A key is one word of plain letters, digits and signs; copy it again.")
        return key
