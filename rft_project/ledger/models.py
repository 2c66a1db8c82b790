"""One row for each call that spends or leaves something behind at a platform (docs/spending.md)."""

from __future__ import annotations

from django.db import models

from rft_project.connections.models import Connection


class State(models.TextChoices):
    """What is known of a call; the labels are what operators read."""

    PLANNED = "planned", "Not sent yet"
    SENT = "sent", "Sent, no clear answer"
    CONFIRMED = "confirmed", "Made"
    REJECTED = "rejected", "Refused, nothing was made"
    UNKNOWN = "unknown", "Waits for a person"
    RELEASED = "released", "Made and given up"


class ExternalCall(models.Model):
    """A call within an intent: ``key`` says which intent, ``content`` is a digest of what is sent.

    ::

        PLANNED ──> SENT ──answer──> CONFIRMED ──release──> RELEASED ──> SENT
           ^         │ │ └─refusal─> REJECTED ──> SENT
           │         │ └─found in the platform's list─> CONFIRMED
           │         └─not found after the grace: sent once more, then UNKNOWN
           └──"it is not there"── UNKNOWN ──"it is there"──> CONFIRMED

    SENT is committed before the request leaves. The row outlives its connection: it is a record of what was paid for.
    """

    key = models.CharField(max_length=120)
    operation = models.CharField(max_length=60)
    content = models.CharField(max_length=64)
    connection = models.ForeignKey(Connection, models.SET_NULL, null=True, related_name="external_calls")
    subject = models.CharField(max_length=200, help_text="what it is for, in words")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PLANNED)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="requests sent that were not clearly refused")
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    looked_at = models.DateTimeField(null=True, help_text="when the platform's list was read after the answer")
    remote_id = models.CharField(max_length=500, blank=True)
    said = models.CharField(max_length=500, blank=True, help_text="the last sentence about it")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "operation", "content"], name="one_row_per_call")]
        indexes = [models.Index(fields=["state", "sent_at"], name="external_call_state_sent")]
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.operation} for {self.subject}"
