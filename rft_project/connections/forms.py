"""One form per kind of platform. What is typed into a key is never sent back to the page."""

from __future__ import annotations

from typing import Any

from django import forms

from .aws_forms import BedrockForm, BedrockOpenAIForm
from .form_parts import SIGN_IN, CredentialsForm, Group, key, text
from .services import with_kept


class OpenAIForm(CredentialsForm):
    kind = "openai"
    GROUPS = (
        Group(
            "Key",
            "Made on OpenAI's page of API keys; it must be allowed to use models, files and fine-tuning.",
            ("api_key",),
        ),
        Group(
            "Organization and project",
            "Only where the key belongs to several: they decide who pays.",
            ("organization", "project"),
            folded=True,
        ),
        Group(
            "Webhook",
            "Not needed: jobs are looked at every few seconds. With it the look happens at once.",
            ("webhook_secret",),
            folded=True,
        ),
        Group(
            "Another address", "For a server that speaks OpenAI's protocol in its place.", ("base_url",), folded=True
        ),
    )
    SHAPES = {"base_url": "Write the address as https://host/v1."}

    api_key = key("API key", "Kept encrypted. After saving, only its last four characters are shown.")
    organization = text("Organization", "Such as org-…", most=100)
    project = text("Project", "Such as proj_…", most=100)
    webhook_secret = key(
        "Signing secret", "It begins with whsec_ and is shown once, when the webhook is made.", required=False
    )
    base_url = text("Address", "Leave empty for OpenAI itself. Else such as https://host/v1")


class LocalForm(CredentialsForm):
    kind = "local"
    GROUPS = (Group("Where it listens", "", ("base_url", "api_key")),)
    SHAPES = {"base_url": "Write the address as https://host/v1."}

    base_url = text("Address", "Such as https://gpu.example.org/v1", required=True)
    api_key = key("Key", "The ENGINE_KEY of that engine, where it has one. Kept encrypted.", required=False)


class CompatibleForm(CredentialsForm):
    kind = "compatible"
    GROUPS = (Group("Where it listens", "", ("base_url", "api_key")),)
    SHAPES = {"base_url": "Write the address as https://host/v1."}

    base_url = text("Address", "Such as http://127.0.0.1:11434/v1; it ends before /chat/completions.", required=True)
    api_key = key("Key", "Where the server asks for one. Kept encrypted.", required=False)


class AzureForm(CredentialsForm):
    kind = "azure"
    WAYS = {"key": ("api_key",)}
    NEEDED = ("api_key",)
    GROUPS = (
        Group(
            "Resource", "Azure OpenAI or a Foundry project, in a region that trains the model you want.", ("endpoint",)
        ),
        Group(
            "Sign-in",
            "A key opens the whole resource. Without one, this server signs in with what it has itself: a managed "
            "identity, a service principal in its environment, or az login; only its operator may choose that.",
            (SIGN_IN, "api_key"),
        ),
        Group(
            "Deploying from here",
            "All three or none. Deployments are made over the management API, which takes no key: this server's own "
            "sign-in does it, so only its operator may fill this in. Others deploy on Azure's page and name it below.",
            ("subscription", "resource_group", "account"),
            folded=True,
        ),
        Group(
            "Models that are deployed already",
            "Azure answers by the name of a deployment. With the three above they are found without this.",
            ("deployments",),
            folded=True,
        ),
    )
    SHAPES = {
        "endpoint": "Write the endpoint as https://name.openai.azure.com.",
        "subscription": "A subscription's id looks like 12345678-1234-1234-1234-123456789abc.",
        "resource_group": "A resource group's name has letters, digits and the signs . _ - ( ).",
        "account": "An account's name begins with a letter or digit, then letters, digits and the signs . _ -",
    }

    endpoint = text(
        "Endpoint",
        "Such as https://name.openai.azure.com, or https://name.services.ai.azure.com/api/projects/project.",
        required=True,
    )
    sign_in = forms.ChoiceField(
        label="Sign in with",
        choices=[("key", "An API key"), ("server", "What this server is signed in with")],
        initial="key",
        required=False,
        widget=forms.RadioSelect,
    )
    api_key = key("API key", "Kept encrypted. After saving, only its last four characters are shown.", required=False)
    subscription = text("Subscription", "Its id.", most=36)
    resource_group = text("Resource group", most=90)
    account = text("Account", "The name of the Foundry or Azure OpenAI resource.", most=64)
    deployments = forms.CharField(
        label="Deployments",
        max_length=2000,
        required=False,
        help_text="One line for each model, such as o4-mini-2025-04-16 = my-deployment",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self._connection is not None and not with_kept(self._connection, dict(self.initial)).get("api_key"):
            self.initial[SIGN_IN] = "server"
        pairs = self.initial.get("deployments")
        if isinstance(pairs, dict):
            self.initial["deployments"] = "\n".join(f"{model} = {name}" for model, name in pairs.items())

    def judge(self) -> None:
        if self.cleaned_data.get(SIGN_IN) == "key" and not self.credentials().get("api_key"):
            self.add_error("api_key", "Enter the key, or sign in with what this server is signed in with.")

    def credentials(self) -> dict[str, Any]:
        own = self.cleaned_data.get(SIGN_IN) == "server"
        return {**super().credentials(), "api_key": ""} if own else super().credentials()


#: kind of ``platforms.PLATFORMS`` -> its form.
FORMS: dict[str, type[CredentialsForm]] = {
    form.kind: form for form in (OpenAIForm, AzureForm, BedrockForm, BedrockOpenAIForm, LocalForm, CompatibleForm)
}
