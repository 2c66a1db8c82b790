"""Prices that people entered, what was spent, and the caps on it. What the catalogue knows is not stored again."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models

from rft_project.connections.models import Connection, Workspace


def _usd(what: str) -> models.DecimalField:
    return models.DecimalField(
        what, max_digits=12, decimal_places=4, null=True, blank=True, validators=[MinValueValidator(Decimal(0))]
    )


class Price(models.Model):
    """What ``model`` of a platform costs, in US dollars; None: not known, 0: nothing. Without a workspace it holds for
    the whole server."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, null=True, blank=True, related_name="prices")
    kind = models.CharField(max_length=40)  # a key of platforms.PLATFORMS
    model = models.CharField(max_length=200)
    input = _usd("USD per million input tokens")
    output = _usd("USD per million output tokens")
    training_hour = _usd("USD per hour of training")
    hosting_hour = _usd("USD per hour of a deployment")
    entered_at = models.DateTimeField(auto_now=True)
    entered_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "kind", "model"], name="one_price_per_model", nulls_distinct=False
            )
        ]
        ordering = ["kind", "model"]

    def __str__(self) -> str:
        return f"{self.model} ({self.kind})"


class Purpose(models.TextChoices):
    DRY_RUN = "dry_run", "Dry run"
    JUDGE = "judge", "Judge"
    GENERATION = "generation", "Generation"
    TRAINING = "training", "Training"
    EVALUATION = "evaluation", "Comparison"
    SORTING = "sorting", "Sorting"


class Expense(models.Model):
    """One paid call, or one training. ``usd`` None: its price is not known, so only its tokens and hours count.

    ``key`` names the intent: the same call made again after a crash is the same row. While ``settled`` is false the
    figures are an estimate that is held back; one that nobody settles counts for an hour (see ``expenses``).
    """

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="expenses")
    about = models.CharField(max_length=40)  # "run:12", "dataset:3"
    subject = models.CharField(max_length=200)  # its name, for lists
    connection = models.ForeignKey(Connection, models.SET_NULL, null=True, related_name="+")
    where = models.CharField(max_length=120)  # the connection's name, also when it is gone
    model = models.CharField(max_length=200)
    purpose = models.CharField(max_length=20, choices=Purpose.choices)
    key = models.CharField(max_length=160)
    tokens_in = models.BigIntegerField(default=0)
    tokens_out = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0.0)  # of training
    usd = models.DecimalField(max_digits=14, decimal_places=6, null=True)
    settled = models.BooleanField(default=False)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "key"], name="one_expense_per_key")]
        indexes = [models.Index(fields=["workspace", "about", "at"], name="expense_about")]
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.purpose} of {self.subject}"


class Cap(models.Model):
    """The most that may be spent: by one run or dataset in all (``about``), or by a workspace in a calendar month
    (``about`` empty). Whoever holds money back takes turns on this row, so that no two take the same remainder."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="caps")
    about = models.CharField(max_length=40, blank=True)
    usd = models.DecimalField(max_digits=12, decimal_places=2, null=True, blank=True)
    tokens = models.BigIntegerField(null=True, blank=True)
    turns = models.BigIntegerField(default=0, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "about"], name="one_cap_per_subject")]

    def __str__(self) -> str:
        return f"cap of {self.about or self.workspace}"
