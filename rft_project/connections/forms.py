"""One form per kind of platform. What is typed into a key is never sent back to the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from .models import Workspace
from .services import address_refusal


class CredentialsForm(forms.Form):
    """With ``workspaces`` for adding a connection to one of them, without for replacing credentials."""

    workspace = forms.ModelChoiceField(Workspace.objects.none(), label="Workspace", empty_label=None)
    name = forms.CharField(label="Name", max_length=120, help_text="So that you find it again.")
    #: Fields that are not credentials.
    ABOUT = ("workspace", "name")

    def __init__(self, *args: Any, workspaces: Sequence[Workspace] = (), **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        if workspaces:
            mine = Workspace.objects.filter(pk__in=[w.pk for w in workspaces]).order_by("pk")
            self.fields["workspace"].queryset = mine  # type: ignore[attr-defined]
        if len(workspaces) < 2:
            del self.fields["workspace"]
        if not workspaces:
            del self.fields["name"]
        for field in self.fields.values():
            field.widget.attrs["class"] = "input"

    def clean_api_key(self) -> str:
        key: str = self.cleaned_data["api_key"]
        if not key.isascii() or not key.isprintable() or " " in key:
            raise forms.ValidationError("A key is one word of plain letters, digits and signs; copy it again.")
        return key

    def clean_base_url(self) -> str:
        address: str = self.cleaned_data["base_url"]
        sentence = address_refusal(address) if address else ""
        if sentence:
            raise forms.ValidationError(sentence)
        return address

    def credentials(self) -> dict[str, Any]:
        """What was filled in; an empty field is left to the adapter's default."""
        return {name: value for name, value in self.cleaned_data.items() if value and name not in self.ABOUT}


def _key(label: str, help_text: str, *, required: bool = True) -> forms.CharField:
    attrs = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}
    widget = forms.PasswordInput(render_value=False, attrs=attrs)
    return forms.CharField(label=label, max_length=500, required=required, help_text=help_text, widget=widget)


class OpenAIForm(CredentialsForm):
    api_key = _key("API key", "Kept encrypted. After saving, only its last four characters are shown.")
    organization = forms.CharField(
        label="Organization", max_length=100, required=False, help_text="Only where the key belongs to several."
    )
    project = forms.CharField(
        label="Project", max_length=100, required=False, help_text="Only where the key belongs to several."
    )
    base_url = forms.CharField(
        label="Address",
        max_length=300,
        required=False,
        help_text="Leave empty for OpenAI itself. A server that speaks its protocol: https://host/v1",
    )


class LocalForm(CredentialsForm):
    base_url = forms.CharField(
        label="Address", max_length=300, help_text="Where the engine listens, such as https://gpu.example.org/v1"
    )
    api_key = _key("Key", "The ENGINE_KEY of that engine, where it has one. Kept encrypted.", required=False)


class CompatibleForm(CredentialsForm):
    base_url = forms.CharField(
        label="Address", max_length=300, help_text="Where the server listens, such as http://127.0.0.1:11434/v1"
    )
    api_key = _key("Key", "Where the server asks for one. Kept encrypted.", required=False)


#: kind of ``platforms.PLATFORMS`` -> its form.
FORMS: dict[str, type[CredentialsForm]] = {
    "openai": OpenAIForm,
    "local": LocalForm,
    "compatible": CompatibleForm,
}
