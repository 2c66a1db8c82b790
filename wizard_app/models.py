"""One walk through the wizard, and what each step of it decided and measured."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse

from datasets_app.models import Dataset, Snapshot, SnapshotItem
from graders_app.models import Grader
from rft_project.connections.models import Connection, Workspace
from rft_project.platforms.types import State


class RFTJobQuerySet(models.QuerySet["RFTJob"]):
    def of(self, user: Any) -> RFTJobQuerySet:
        return self.filter(workspace__memberships__user=user)


class RFTJob(models.Model):
    """A run: split → grader → dry run → train → results and deploy.

    ``training_key`` is written before the first call to the platform and travels with it, so that a restart finds the
    job an earlier attempt made. ``tuned_model`` is the platform's id of the result.
    """

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="runs")
    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="runs")
    name = models.CharField(max_length=120)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    snapshot = models.ForeignKey(Snapshot, models.PROTECT, null=True)
    grader = models.ForeignKey(Grader, models.PROTECT, null=True)
    grader_config = models.JSONField(null=True)

    connection = models.ForeignKey(Connection, models.PROTECT, null=True)
    base_model = models.CharField(max_length=200, blank=True)
    hyperparameters = models.JSONField(default=dict)
    seed = models.PositiveIntegerField(default=0)
    training_key = models.CharField(max_length=64, blank=True)
    training_handle = models.CharField(max_length=200, blank=True)
    training_word = models.CharField(max_length=60, blank=True)  # the platform's own status word
    training_state = models.CharField(max_length=20, blank=True)  # what it means: a value of platforms.types.State
    event_cursor = models.CharField(max_length=200, blank=True)
    tuned_model = models.CharField(max_length=200, blank=True)

    objects = RFTJobQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="one_run_name_per_workspace")]
        ordering = ["-pk"]
        verbose_name = "RFT job"

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("wizard:run", args=[self.pk])

    @property
    def frozen(self) -> Snapshot:
        """The snapshot; only for steps that open after the split."""
        assert self.snapshot is not None
        return self.snapshot

    @property
    def platform_connection(self) -> Connection:
        """The connection; only for steps that open after the dry run has chosen one."""
        assert self.connection is not None
        return self.connection


class StepResult(models.Model):
    """What a step was given (``params``, ``input_digest``) and what came out (``summary``).

    A step is stale when the digest of what it would be given today differs. Nothing is deleted then.
    """

    run = models.ForeignKey(RFTJob, models.CASCADE, related_name="steps")
    step = models.CharField(max_length=20)
    params = models.JSONField(default=dict)
    input_digest = models.CharField(max_length=64, blank=True)
    summary = models.JSONField(default=dict)
    job = models.ForeignKey("jobs.Job", models.SET_NULL, null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="one_result_per_step")]

    def __str__(self) -> str:
        return f"{self.step} of {self.run}"


class Attack(models.Model):
    """The last attack on a run's grader. ``mark`` stands for the grader and the split that ``summary`` is about."""

    run = models.OneToOneField(RFTJob, models.CASCADE, related_name="attack")
    mark = models.CharField(max_length=32, blank=True)
    summary = models.JSONField(default=dict)  # schemas.AttackSummary; empty until one has ended
    job = models.ForeignKey("jobs.Job", models.SET_NULL, null=True)

    def __str__(self) -> str:
        return f"attack on the grader of {self.run}"


class Repeats(models.Model):
    """A judge asked the same again: ``spread`` is the mean standard deviation of its scores for one answer, over
    ``answers`` of them; None until that has ended. ``mark`` as in ``Attack``."""

    run = models.OneToOneField(RFTJob, models.CASCADE, related_name="repeats")
    mark = models.CharField(max_length=32, blank=True)
    spread = models.FloatField(null=True)
    answers = models.PositiveIntegerField(default=0)
    job = models.ForeignKey("jobs.Job", models.SET_NULL, null=True)

    class Meta:
        verbose_name_plural = "repeats"

    def __str__(self) -> str:
        return f"repeated questions to the judge of {self.run}"


class Rollout(models.Model):
    """One answer of one model to one prompt, and its score.

    ``sampling_key`` is the digest of what was asked (connection, model, temperature, length, seed), so that an answer
    that was paid for is never asked for again; ``grader_digest`` says which grader the score is of.
    """

    run = models.ForeignKey(RFTJob, models.CASCADE, related_name="rollouts")
    item = models.ForeignKey(SnapshotItem, models.CASCADE)
    sampling_key = models.CharField(max_length=32)
    sample_index = models.PositiveSmallIntegerField()
    answer = models.TextField()
    tool_calls = models.JSONField(default=list)
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    seconds = models.FloatField(default=0.0)
    error = models.CharField(max_length=500, blank=True)  # the platform gave no answer
    reward = models.FloatField(null=True)
    sub_rewards = models.JSONField(default=dict)
    grader_errors = models.JSONField(default=list)
    notes = models.JSONField(default=dict)
    judge_tokens = models.PositiveIntegerField(default=0)  # read and written by judges, also where the answer was kept
    grader_digest = models.CharField(max_length=32, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "sampling_key", "item", "sample_index"], name="one_rollout_per_ask")
        ]

    def __str__(self) -> str:
        return f"answer {self.sample_index} to item {self.item_id}"


class Rating(models.Model):
    """What a person thinks of an answer, given without seeing its score: 0 (useless) to 4 (perfect)."""

    rollout = models.ForeignKey(Rollout, models.CASCADE, related_name="ratings")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    step = models.PositiveSmallIntegerField()
    rated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rollout", "by"], name="one_rating_per_person_and_answer")]

    def __str__(self) -> str:
        return f"{self.step} for {self.rollout}"


class MetricPoint(models.Model):
    """One value of one series at one training step."""

    run = models.ForeignKey(RFTJob, models.CASCADE, related_name="metrics")
    series = models.CharField(max_length=80)
    step = models.PositiveIntegerField()
    value = models.FloatField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "series", "step"], name="one_value_per_step")]
        ordering = ["step"]

    def __str__(self) -> str:
        return f"{self.series} at {self.step}"


class RunEvent(models.Model):
    """A line of the platform's training log."""

    run = models.ForeignKey(RFTJob, models.CASCADE, related_name="events")
    remote_id = models.CharField(max_length=200)
    at = models.DateTimeField()
    level = models.CharField(max_length=10)
    message = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "remote_id"], name="one_event_per_remote_id")]
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.message[:80]


class Checkpoint(models.Model):
    run = models.ForeignKey(RFTJob, models.CASCADE, related_name="checkpoints")
    remote_id = models.CharField(max_length=200)
    model = models.CharField(max_length=200)
    step = models.PositiveIntegerField()
    metrics = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "remote_id"], name="one_checkpoint_per_remote_id")]
        ordering = ["step"]

    def __str__(self) -> str:
        return f"checkpoint at step {self.step}"


class Deployment(models.Model):
    """A tuned model made callable, or the wish for it: the row is there before its platform is asked.

    ``model`` is the tuned model that is to stand behind it, ``called`` what to put into ``model`` when calling it and
    ``key`` that of its intent in the ledger. One that failed or was taken back has ended and stays as a record.
    """

    run = models.ForeignKey(RFTJob, models.CASCADE, related_name="deployments")
    connection = models.ForeignKey(Connection, models.PROTECT)
    job = models.ForeignKey("jobs.Job", models.SET_NULL, null=True, related_name="+")
    key = models.CharField(max_length=160)
    options = models.JSONField(default=dict)  # by the names of ``ModelInfo.deploy_options``
    handle = models.CharField(max_length=200, blank=True)
    model = models.CharField(max_length=200)
    called = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=20)
    word = models.CharField(max_length=60, blank=True)  # the platform's own
    detail = models.CharField(max_length=500, blank=True)
    remedy = models.TextField(blank=True)  # text to copy that would help
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run", "model"], condition=models.Q(ended_at__isnull=True), name="one_live_deployment_per_model"
            )
        ]
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.called or self.model

    def get_absolute_url(self) -> str:
        return reverse("wizard:deployment", args=[self.run_id, self.pk])

    @property
    def answers(self) -> bool:
        return self.ended_at is None and self.state == State.SUCCEEDED.value


class ServedModel(models.Model):
    """A model that stood behind a deployment from ``since`` on, until the next one did."""

    deployment = models.ForeignKey(Deployment, models.CASCADE, related_name="served")
    model = models.CharField(max_length=200)
    since = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.model
