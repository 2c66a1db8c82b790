"""The forms of Amazon Bedrock: its own APIs, and the one that speaks OpenAI's protocol."""

from __future__ import annotations

from typing import Any

from django import forms

from .form_parts import SIGN_IN, CredentialsForm, Group, key, text
from .services import with_kept

KEYS, PROFILE, SERVER = "keys", "profile", "server"
#: What belongs to which way to sign in; the other ways' fields are left out.
_OF = {KEYS: ("access_key_id", "secret_access_key", "session_token"), PROFILE: ("profile",), SERVER: ()}
_SIGNING = tuple(name for names in _OF.values() for name in names)

_REGION = Group("", "", ("region",))
_ACCESS = Group(
    "Sign-in",
    "An access key of a user made for this, or a profile or an identity that this server has itself; only the "
    "operator of this server may choose one of the last two.",
    (SIGN_IN, *_SIGNING),
)
_ROLE = Group(
    "Another role",
    "Where the sign-in above may do nothing but assume a role that may do the rest.",
    ("assume_role_arn",),
    folded=True,
)
_ELSEWHERE = Group(
    "Another address",
    "One address that answers for every service, such as an emulator's.",
    ("endpoint_url",),
    folded=True,
)
_ARN = "A role's ARN looks like arn:aws:iam::123456789012:role/name."


class AwsForm(CredentialsForm):
    """What both have: a region, a way to sign in and the roles of graders."""

    SHAPES = {
        "region": "A region looks like us-east-1.",
        "bucket": "A bucket's name has lower-case letters, digits, dots and hyphens; write it without s3://.",
        "assume_role_arn": _ARN,
        "job_role_arn": _ARN,
        "grader_role_arn": _ARN,
        "judge_role_arn": _ARN,
        "endpoint_url": "Write the address as https://host.",
        "base_url": "Write the address as https://host/path.",
    }

    WAYS = _OF

    region = text("Region", "Such as us-east-1. Not every region trains every model.", most=40, required=True)
    sign_in = forms.ChoiceField(
        label="Sign in with",
        choices=[
            (KEYS, "An access key"),
            (PROFILE, "A profile of this server"),
            (SERVER, "What this server is signed in with"),
        ],
        initial=KEYS,
        required=False,
        widget=forms.RadioSelect,
    )
    access_key_id = text("Access key id", "It begins with AKIA, a temporary one with ASIA.", most=128)
    secret_access_key = key("Secret access key", "Kept encrypted and never shown again.", required=False)
    session_token = key("Session token", "Only of a temporary key, which ends after some hours.", required=False)
    profile = text("Profile", "Its name in the AWS configuration of this server.", most=128)
    assume_role_arn = text("Role to assume", most=2048)
    grader_role_arn = text(
        "Role of graders",
        "The function that scores answers runs as it. It needs to write logs and nothing else.",
        most=2048,
    )
    judge_role_arn = text(
        "Role of graders that ask a model",
        "The same, and it may invoke the judge's model. Empty where no grader does.",
        most=2048,
    )
    endpoint_url = text("Address", "Leave empty for AWS itself.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self._connection is not None:
            held = with_kept(self._connection, dict(self.initial))
            self.initial[SIGN_IN] = next((way for way, names in _OF.items() if names and held.get(names[0])), SERVER)

    def judge(self) -> None:
        way, given = self.cleaned_data.get(SIGN_IN), self.credentials()
        if way == PROFILE and not given.get("profile"):
            self.add_error("profile", "Enter the profile's name, or choose another way to sign in.")
        if way == KEYS:
            for name in ("access_key_id", "secret_access_key"):
                if not given.get(name):
                    self.add_error(name, "Enter both parts of the access key, or choose another way to sign in.")

    def credentials(self) -> dict[str, Any]:
        found = super().credentials()
        way = self.cleaned_data.get(SIGN_IN)
        if way not in _OF:
            return found
        return {name: value for name, value in found.items() if name not in _SIGNING or name in _OF[way]}


class BedrockForm(AwsForm):
    kind = "bedrock"
    NEEDED = ("access_key_id", "secret_access_key", "profile")
    GROUPS = (
        _REGION,
        _ACCESS,
        _ROLE,
        Group(
            "Training",
            "Needed to train, not to ask models. The records go to the bucket; Bedrock reads them as the job's role.",
            ("bucket", "job_role_arn", "grader_role_arn", "judge_role_arn"),
        ),
        _ELSEWHERE,
    )

    bucket = text("Bucket", "In the same region. What runs upload lies there under a prefix of its own.", most=63)
    job_role_arn = text(
        "Role of jobs", "Bedrock assumes it: it reads and writes the bucket and invokes the grader.", most=2048
    )


class BedrockOpenAIForm(AwsForm):
    kind = "bedrock_openai"
    GROUPS = (
        Group("Key", "A Bedrock API key; models are asked and jobs started with it.", ("region", "api_key")),
        Group(
            "Publishing graders",
            "Needed to train: a grader becomes a Lambda function, which a Bedrock API key may not make. "
            "Only the operator of this server may choose one of the last two.",
            (SIGN_IN, *_SIGNING, "grader_role_arn", "judge_role_arn"),
        ),
        _ROLE,
        Group("Another address", "Leave both empty for AWS itself.", ("base_url", "endpoint_url"), folded=True),
    )

    api_key = key("Bedrock API key", "Kept encrypted. After saving, only its last four characters are shown.")
    base_url = text("Address of models and jobs", "Such as https://host/v1; else that of the region.")

    endpoint_url = text("Address of AWS's other services", "One for all of them, such as an emulator's.")

    def judge(self) -> None:
        """To ask models the key is enough."""
        if self.cleaned_data.get(SIGN_IN) != KEYS or self.cleaned_data.get("access_key_id"):
            super().judge()
