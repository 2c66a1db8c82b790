"""One form per kind of platform. What is typed into a key is never sent back to the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from rft_project.platforms.openai_webhooks import is_signing_secret

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
        return self._judged("base_url")

    def clean_endpoint(self) -> str:
        return self._judged("endpoint")

    def _judged(self, field: str) -> str:
        address: str = self.cleaned_data[field]
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
    webhook_secret = _key(
        "Webhook signing secret",
        "Not needed: jobs are looked at every few seconds. With it, OpenAI's webhook makes the look happen at once.",
        required=False,
    )

    def clean_webhook_secret(self) -> str:
        secret: str = self.cleaned_data["webhook_secret"]
        if secret and not is_signing_secret(secret):
            raise forms.ValidationError("A signing secret begins with whsec_; copy it again, whole.")
        return secret


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


class AzureForm(CredentialsForm):
    endpoint = forms.CharField(
        label="Endpoint",
        max_length=300,
        help_text="Of the resource, such as https://name.openai.azure.com, or of a Foundry project.",
    )
    api_key = _key(
        "API key", "Kept encrypted. Leave empty to sign in with what this server is signed in with.", required=False
    )
    subscription = forms.CharField(
        label="Subscription",
        max_length=36,
        required=False,
        help_text="Its id. It, the resource group and the account are needed to deploy tuned models from here.",
    )
    resource_group = forms.CharField(label="Resource group", max_length=90, required=False)
    account = forms.CharField(
        label="Account", max_length=64, required=False, help_text="The name of the Foundry or Azure OpenAI resource."
    )
    deployments = forms.CharField(
        label="Deployments",
        max_length=2000,
        required=False,
        help_text="Without the three above: one line for each model, such as o4-mini-2025-04-16 = my-deployment",
        widget=forms.Textarea(attrs={"rows": 3}),
    )


def _role(label: str, help_text: str) -> forms.CharField:
    return forms.CharField(label=label, max_length=200, required=False, help_text=help_text)


class BedrockForm(CredentialsForm):
    region = forms.CharField(label="Region", max_length=30, help_text="Nova is trained in us-east-1 only.")
    access_key_id = forms.CharField(
        label="Access key id",
        max_length=128,
        required=False,
        help_text="Leave both parts empty to sign in with what this server is signed in with.",
    )
    secret_access_key = _key("Secret access key", "Kept encrypted.", required=False)
    session_token = forms.CharField(
        label="Session token",
        max_length=4000,
        required=False,
        help_text="Only with a temporary key. Kept encrypted.",
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
    )
    profile = forms.CharField(
        label="Profile",
        max_length=100,
        required=False,
        help_text="Of this server's AWS configuration, instead of keys.",
    )
    assume_role_arn = _role("Role to take on", "Where the keys or the profile only open this role.")
    bucket = forms.CharField(
        label="Bucket", max_length=63, required=False, help_text="For training: in the same region; rows are put there."
    )
    job_role_arn = _role("Job role", "For training: the ARN of the role that Bedrock takes on for a job.")
    grader_role_arn = _role("Grader role", "For training: of graders' functions; it may write logs and nothing else.")
    judge_role_arn = _role("Judge role", "Only for graders that ask a judge: it may also call models.")
    endpoint_url = forms.CharField(
        label="Address", max_length=300, required=False, help_text="Leave empty for AWS itself."
    )

    def clean_endpoint_url(self) -> str:
        return self._judged("endpoint_url")


#: kind of ``platforms.PLATFORMS`` -> its form.
FORMS: dict[str, type[CredentialsForm]] = {
    "openai": OpenAIForm,
    "azure": AzureForm,
    "bedrock": BedrockForm,
    "local": LocalForm,
    "compatible": CompatibleForm,
}
