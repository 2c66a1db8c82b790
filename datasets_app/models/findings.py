"""What was found of personal data and secrets, without the values: a keyed digest tells one from another.

The values themselves stand in the records only. Nothing of them is copied here, not even sealed: what is redacted is
gone with the copies that its undo keeps for 30 days.
"""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.db import models
from pydantic import BaseModel

from datasets_app.core.pii.kinds import KINDS
from rft_project.connections.sealing import seal, unseal


class KindCount(BaseModel):
    """Of one kind, false alarms left out: in how many records it stands, and how many different values there are."""

    records: int = 0
    values: int = 0


class Summary(BaseModel):
    """Counts of a dataset's findings as the pages show them. ``secrets`` and ``personal``: records that hold any;
    ``undecided``: those that hold either, and ``mark`` stands for exactly the values they hold."""

    kinds: dict[str, KindCount] = {}
    false_alarms: dict[str, int] = {}  # kind -> values
    records: int = 0  # looked through
    secrets: int = 0
    personal: int = 0
    undecided: int = 0
    mark: str = ""


class Vault(models.Model):
    """A dataset's key for digests and the numbers of its placeholders.

    The key is drawn once and sealed with the server's; a rotation seals it anew, so digests and placeholders stay.
    Records up to ``scanned_to`` have been looked through with ``rules``; those that changed since are in ``Rescan``.
    """

    dataset = models.OneToOneField("datasets_app.Dataset", models.CASCADE, primary_key=True, related_name="vault")
    sealed = models.TextField(editable=False)
    last_numbers = models.JSONField(default=dict)  # kind -> number of the newest placeholder
    scanned_to = models.BigIntegerField(default=0)
    rules = models.CharField(max_length=32, blank=True)
    names = models.BooleanField(default=False)  # names and places too, where a model is installed
    ignored = models.JSONField(default=list)  # kinds that are false alarms altogether
    summary = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"vault of {self.dataset_id}"

    @staticmethod
    def _identity(dataset_pk: Any) -> str:
        return f"datasets_app.Vault/key/{dataset_pk}"

    @classmethod
    def fresh_key(cls, dataset_pk: Any) -> str:
        """A new key, sealed for the vault of this dataset."""
        return seal(secrets.token_hex(32), cls._identity(dataset_pk))

    def key(self) -> bytes:
        """Raises SealError where the server no longer has the key that sealed it."""
        return bytes.fromhex(unseal(self.sealed, self._identity(self.pk)))

    def resealed(self) -> str:
        """The key under the server's current key. Raises SealError."""
        return seal(unseal(self.sealed, self._identity(self.pk)), self._identity(self.pk))

    @property
    def counts(self) -> Summary:
        """With the kinds in their order, which PostgreSQL does not keep."""
        found = Summary.model_validate(self.summary)
        return found.model_copy(update={"kinds": {kind: found.kinds[kind] for kind in KINDS if kind in found.kinds}})


class FoundValue(models.Model):
    """One value of one kind: ``digest`` is an HMAC under the vault's key, ``number`` that of its placeholder.

    ``records``: how many records hold it today. A false alarm stays known, so that it is not asked about again.
    """

    dataset = models.ForeignKey("datasets_app.Dataset", models.CASCADE, related_name="found_values", db_index=False)
    kind = models.CharField(max_length=24)
    digest = models.CharField(max_length=32)
    number = models.PositiveIntegerField()
    false_alarm = models.BooleanField(default=False)
    records = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "digest"], name="one_value_per_digest"),
            models.UniqueConstraint(fields=["dataset", "kind", "number"], name="one_placeholder_per_value"),
        ]
        indexes = [
            models.Index(
                fields=["dataset", "kind", "number"],
                condition=models.Q(false_alarm=False, records__gt=0),
                name="value_to_review",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"


class Finding(models.Model):
    """A record holds a value, ``count`` times."""

    record = models.ForeignKey("datasets_app.DatasetRecord", models.CASCADE, related_name="findings", db_index=False)
    value = models.ForeignKey(FoundValue, models.CASCADE, related_name="findings")
    count = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["record", "value"], name="one_finding_per_value")]

    def __str__(self) -> str:
        return f"{self.value_id} in record {self.record_id}"


class Rescan(models.Model):
    """A record whose texts changed after it was looked through."""

    record = models.OneToOneField("datasets_app.DatasetRecord", models.CASCADE, primary_key=True, related_name="rescan")
    dataset = models.ForeignKey("datasets_app.Dataset", models.CASCADE, related_name="+")

    def __str__(self) -> str:
        return f"record {self.record_id}"


class FrozenFinding(models.Model):
    """What a frozen record would send to a platform holds a value; what it holds today may be something else."""

    snapshot = models.ForeignKey("datasets_app.Snapshot", models.CASCADE, related_name="findings", db_index=False)
    record_id = models.BigIntegerField()
    value = models.ForeignKey(FoundValue, models.CASCADE, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["snapshot", "record_id", "value"], name="one_frozen_finding_per_value")
        ]

    def __str__(self) -> str:
        return f"{self.value_id} in frozen record {self.record_id}"


class Consent(models.Model):
    """A person said that ``values`` may be sent over a connection to the address it had then.

    With a snapshot: by the runs on it. Without: to the helper model, as far as the dataset's records hold them.
    ``mark`` is that of the last ``Summary`` in which nothing else was found, so that pages need not compare all values.
    """

    dataset = models.ForeignKey("datasets_app.Dataset", models.CASCADE, related_name="consents")
    snapshot = models.ForeignKey("datasets_app.Snapshot", models.CASCADE, null=True, related_name="consents")
    connection = models.ForeignKey("connections.Connection", models.CASCADE, related_name="+")
    address = models.CharField(max_length=300, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now=True)
    mark = models.CharField(max_length=32, blank=True)
    values = models.ManyToManyField(FoundValue, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["snapshot", "connection"],
                condition=models.Q(snapshot__isnull=False),
                name="one_consent_per_snapshot",
            ),
            models.UniqueConstraint(
                fields=["dataset", "connection"],
                condition=models.Q(snapshot__isnull=True),
                name="one_consent_per_helper",
            ),
        ]

    def __str__(self) -> str:
        return f"consent to send {self.dataset_id} over {self.connection_id}"
