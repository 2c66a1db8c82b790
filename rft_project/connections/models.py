"""Who works together, and which platforms they may call."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import models

from .sealing import seal, unseal

OWNER, MEMBER = "owner", "member"
SHOWN = 4  # last characters of a key that people may see


class WorkspaceQuerySet(models.QuerySet["Workspace"]):
    def of(self, user: Any) -> WorkspaceQuerySet:
        return self.filter(memberships__user=user)


class Workspace(models.Model):
    """A group of people who share datasets, graders, runs and connections."""

    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = WorkspaceQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One person in one workspace. An owner also manages connections and people."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, default=MEMBER)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "user"], name="one_membership_per_person")]

    def __str__(self) -> str:
        return f"{self.user} in {self.workspace} ({self.role})"


#: Credentials that are addresses somebody entered: judged before every use.
ADDRESS_FIELDS = ("base_url", "endpoint", "endpoint_url")
#: Credentials that no page ever shows again; the adapters hold them as ``SecretStr``.
SECRET_FIELDS = ("api_key", "webhook_secret", "secret_access_key", "session_token")
#: What a secret is for: where one of these changes, no stored secret goes along.
PLACE_FIELDS = (*ADDRESS_FIELDS, "region", "access_key_id")


class Connection(models.Model):
    """Credentials for one platform, sealed. ``kind`` is a key of ``platforms.PLATFORMS``.

    The primary key is a UUID because a sealed value is bound to the row before the row is first saved.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="connections")
    kind = models.CharField(max_length=40)
    name = models.CharField(max_length=120)
    sealed = models.TextField(editable=False)
    checked_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=500, blank=True)
    remedy = models.TextField(blank=True, editable=False)  # of the last error: text to copy, such as a missing policy
    # What an owner lets it do at all; which model does what follows below.
    may_sample = models.BooleanField(default=True)
    may_train = models.BooleanField(default=True)
    # What may be shown without opening the credentials: a key's last characters, an address somebody entered, and what
    # the last good check found the account able to do.
    hint = models.CharField(max_length=8, blank=True, editable=False)
    address = models.CharField(max_length=300, blank=True, editable=False)
    abilities = models.JSONField(default=dict, editable=False)
    embedding_model = models.CharField(max_length=200, blank=True)  # topics are found and records sorted by its vectors
    helper_model = models.CharField(max_length=200, blank=True)  # names topics and sorts doubtful records
    judge_model = models.CharField(max_length=200, blank=True)  # scores answers for graders that ask a model
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="one_connection_name_per_workspace")]
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def _identity(self) -> str:
        return f"connections.Connection/credentials/{self.pk}"

    def set_credentials(self, values: dict[str, Any]) -> None:
        """Seal ``values`` into the row (not saved yet)."""
        self.sealed = seal(json.dumps(values), self._identity)
        key = str(values.get("api_key") or "")
        self.hint = key[-SHOWN:] if len(key) >= SHOWN * 4 else ""  # of a short key even that would tell too much
        self.address = next((str(values[field]) for field in ADDRESS_FIELDS if values.get(field)), "")

    def resealed(self) -> str:
        """The credentials under the current key. Raises SealError."""
        return seal(unseal(self.sealed, self._identity), self._identity)

    def credentials(self) -> dict[str, Any]:
        """Opened credentials; only the client factory in ``services`` calls this."""
        values: dict[str, Any] = json.loads(unseal(self.sealed, self._identity))
        return values


class Pacing(models.Model):
    """What all processes that call a connection's platform share of its rate limits (``pacing.SharedStore``).

    ``shares`` is a ``platforms.rates.Shares``; who changes it counts ``version`` up.
    """

    connection = models.OneToOneField(Connection, models.CASCADE, primary_key=True, related_name="pacing")
    version = models.PositiveBigIntegerField(default=0)
    shares = models.JSONField(default=dict)
    paused_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"pace of {self.connection_id}"


class HookMessage(models.Model):
    """A webhook's message that was taken, so that the same one sent again does nothing. Kept for a day."""

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="hook_messages")
    message_id = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "message_id"], name="one_row_per_hook_message")]

    def __str__(self) -> str:
        return self.message_id


class AuditEntry(models.Model):
    """What was done that spends, exports, deploys or touches credentials. Written once, never changed."""

    at = models.DateTimeField(auto_now_add=True)
    workspace = models.ForeignKey(Workspace, models.SET_NULL, null=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    action = models.CharField(max_length=60)
    subject = models.CharField(max_length=200)
    detail = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.action}: {self.subject}"

    @classmethod
    def write(
        cls,
        action: str,
        subject: object,
        *,
        workspace: Workspace | None,
        actor: AbstractBaseUser | None,
        detail: str = "",
    ) -> None:
        cls.objects.create(
            action=action, subject=str(subject)[:200], workspace=workspace, actor=actor, detail=detail[:500]
        )
