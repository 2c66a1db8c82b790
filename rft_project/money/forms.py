from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms

from rft_project.platforms import PLATFORMS

from .prices import FIELDS


class _Looks(forms.Form):
    """Controls as they look on every page."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        for field in self.fields.values():
            field.widget.attrs["class"] = "input"


class CapForm(_Looks):
    """Empty fields set no limit."""

    usd = forms.DecimalField(
        label="Most US dollars", required=False, min_value=Decimal("0.01"), max_digits=10, decimal_places=2
    )
    tokens = forms.IntegerField(label="Most tokens", required=False, min_value=1, max_value=10**15)


class PriceForm(_Looks):
    """What somebody read on a platform's page of prices. With all prices empty the entry is taken away."""

    kind = forms.ChoiceField(
        label="Platform", choices=[(kind, label) for kind, (label, _) in PLATFORMS.items() if kind != "local"]
    )
    model = forms.CharField(label="Model", max_length=200, help_text="Its id, as runs and roles name it.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, unit in FIELDS.items():
            self.fields[name] = forms.DecimalField(
                label=f"USD per {unit}", required=False, min_value=Decimal(0), max_digits=12, decimal_places=4
            )
            self.fields[name].widget.attrs["class"] = "input"

    def values(self) -> dict[str, float | None]:
        given = {name: self.cleaned_data[name] for name in FIELDS}
        return {name: None if value is None else float(value) for name, value in given.items()}
