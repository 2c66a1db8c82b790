"""Runs that generate records, and the calls they made: the ledger that keeps a paid call from being made again."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse

from datasets_app.core.generating import Plan, Quality, Tally

KEY = "gen"  # what the import keys of generated records begin with


class GenerationRun(models.Model):
    """One plan and what came of it. ``plan`` and ``quality`` are read as typed models.

    ``before``: valid records per topic when it started; ``since``: calls after that number belong to the present start
    (what is asked again starts its pass rates and its cap of calls anew). ``ended``: complete, calls, cost or hopeless.
    """

    dataset = models.ForeignKey("datasets_app.Dataset", models.CASCADE, related_name="generation_runs")
    job = models.OneToOneField("jobs.Job", models.SET_NULL, null=True, related_name="generation_run")
    connection = models.ForeignKey("connections.Connection", models.SET_NULL, null=True, related_name="+")
    model = models.CharField(max_length=200)
    plan = models.JSONField(default=dict)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    quality = models.JSONField(default=dict)
    since = models.PositiveIntegerField(default=0)
    ended = models.CharField(max_length=10, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"generation {self.pk} of {self.dataset}"

    def get_absolute_url(self) -> str:
        return reverse("datasets:generation", args=[self.dataset_id, self.pk])

    @property
    def planned(self) -> Plan:
        return Plan.model_validate(self.plan)

    @property
    def measured(self) -> Quality:
        return Quality.model_validate(self.quality)

    @property
    def key_prefix(self) -> str:
        """What the import keys of its records begin with: they tell run, call and place, also after an undo."""
        return f"{KEY}:{self.pk}:"

    def records(self) -> models.QuerySet[Any]:
        """Its records as they are now."""
        return self.dataset.records.filter(source="generated", import_key__startswith=self.key_prefix)


class GenerationCall(models.Model):
    """One call to the helper model, written down before it is made.

    ``examples``: records shown to the model; ``frame``: the record whose system prompt and tools the new records take.
    ``answer`` is stored as soon as it is there and emptied once its records are. ``rejected``: [{"code", "sentence",
    "text"}] of what did not pass.
    """

    class State(models.TextChoices):
        PLANNED = "planned", "planned"
        SENT = "sent", "waiting for the answer"
        ANSWERED = "answered", "answered"
        STORED = "stored", "checked and stored"
        FAILED = "failed", "refused for what it asked"
        REFUSED = "refused", "not answered by the platform"
        LOST = "lost", "made when the worker stopped"

    run = models.ForeignKey(GenerationRun, models.CASCADE, related_name="calls", db_index=False)
    number = models.PositiveIntegerField()
    topic = models.CharField(max_length=80)
    strategy = models.CharField(max_length=20)
    wanted = models.PositiveSmallIntegerField()
    examples = models.JSONField(default=list)
    frame = models.BigIntegerField(null=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PLANNED)
    answer = models.TextField(blank=True)
    error = models.CharField(max_length=500, blank=True)
    generated = models.PositiveSmallIntegerField(default=0)
    valid = models.PositiveSmallIntegerField(default=0)
    rejected = models.JSONField(default=list)
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    seconds = models.FloatField(default=0.0)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="one_call_per_number")]

    def __str__(self) -> str:
        return f"call {self.number} of generation {self.run_id}"

    #: States that may have been paid for.
    SPENT = (State.SENT, State.ANSWERED, State.STORED, State.FAILED, State.LOST)


def tallies_of(calls: models.QuerySet[GenerationCall]) -> dict[tuple[str, str], Tally]:
    """What each strategy has brought for each topic; a lost call counts as made and says nothing of the strategy."""
    found: dict[tuple[str, str], Tally] = {}
    counted = calls.filter(state__in=(GenerationCall.State.STORED, GenerationCall.State.FAILED)).order_by()
    for topic, strategy, requested, generated, valid, n in counted.values_list("topic", "strategy").annotate(
        requested=models.Sum("wanted"), made=models.Sum("generated"), good=models.Sum("valid"), n=models.Count("pk")
    ):
        found[topic, strategy] = Tally(requested, generated, valid, n)
    return found
