"""How forms look and how their values travel into a job's parameters."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from django import forms
from django.db.models import Model, QuerySet
from django.forms.renderers import TemplatesSetting

PLAIN = (
    forms.CheckboxInput,
    forms.RadioSelect,
    forms.CheckboxSelectMultiple,
    forms.ClearableFileInput,
    forms.FileInput,
)


class StudioFormRenderer(TemplatesSetting):
    """``settings.FORM_RENDERER``: label, hint, control, error, in that order."""

    form_template_name = "forms/form.html"
    field_template_name = "forms/field.html"


def plain(value: Any) -> Any:
    """A cleaned value as JSON can hold it: models become their key, dates ISO text, decimals numbers, sets lists."""
    if isinstance(value, Model):
        return value.pk
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, QuerySet) or (isinstance(value, Iterable) and not isinstance(value, str | bytes)):
        items = [plain(item) for item in value]
        return sorted(items, key=str) if isinstance(value, set | frozenset) else items
    return value


class StudioMixin:
    """Gives controls the look; put it before ``forms.Form`` or ``forms.ModelForm``."""

    fields: dict[str, forms.Field]
    cleaned_data: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            widget = field.widget
            if not isinstance(widget, PLAIN) and not widget.is_hidden:
                widget.attrs["class"] = f"input {widget.attrs.get('class', '')}".strip()

    def to_params(self, *leave_out: str) -> dict[str, Any]:
        """Cleaned values as a JSON object for a job or a schema; files and the names in ``leave_out`` are not in it."""
        return {
            name: plain(value)
            for name, value in self.cleaned_data.items()
            if name not in leave_out and not isinstance(self.fields.get(name), forms.FileField)
        }


class StudioForm(StudioMixin, forms.Form):
    pass


class StudioModelForm(StudioMixin, forms.ModelForm):
    pass
