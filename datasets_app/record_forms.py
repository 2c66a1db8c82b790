"""The form of one record."""

from __future__ import annotations

import json

from django import forms

from datasets_app.core.records import Trace
from rft_project.platforms.types import last_user_text
from rft_project.web.forms import StudioForm

from . import editing
from .forms import MAX_PASTE
from .models import DatasetRecord


def _area(label: str, rows: int, hint: str) -> forms.CharField:
    widget = forms.Textarea(attrs={"rows": rows, "spellcheck": "false"})
    return forms.CharField(
        label=label, required=False, strip=False, max_length=MAX_PASTE, help_text=hint, widget=widget
    )


class EditRecordForm(StudioForm):
    """A record as people edit it: the last user message as text, or everything as JSON."""

    seen = forms.CharField(max_length=16, widget=forms.HiddenInput)
    how = forms.ChoiceField(choices=[("text", "Text"), ("json", "JSON")], initial="text", widget=forms.HiddenInput)
    text = _area("Last message of the user", 6, "What the model answers to.")
    messages = _area("Messages", 12, "The conversation the model is sent: a list of objects with role and content.")
    answer = _area("Answer in the trace", 5, "Kept for comparing, never sent as training data. Empty: none.")
    reference = _area("Reference answer", 2, "What a grader compares with: any JSON, texts in quotes. Empty: none.")

    @classmethod
    def of(cls, record: DatasetRecord) -> EditRecordForm:
        """The form as the record fills it in."""
        trace = record.trace
        shown = {
            "seen": editing.mark_of(record),
            "text": last_user_text(trace.messages),
            "messages": json.dumps(trace.input.get("messages", []), indent=2),
            "answer": json.dumps(trace.output_messages, indent=2) if trace.output_messages else "",
            "reference": json.dumps(trace.reference_answer, indent=2) if trace.has_reference else "",
        }
        return cls(initial=shown)

    def trace(self, record: DatasetRecord) -> Trace:
        """The record as it would be. Raises Refused."""
        values = self.cleaned_data
        if values["how"] == "text":
            return editing.with_last_user_text(record.trace, values["text"])
        return editing.with_json(record.trace, values["messages"], values["answer"], values["reference"])
