"""Saved graders. A change makes a new version; versions that were used are never altered."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse

from rft_project.connections.models import Workspace


class GraderQuerySet(models.QuerySet["Grader"]):
    def of(self, user: Any) -> GraderQuerySet:
        return self.filter(workspace__memberships__user=user)

    def latest_versions(self) -> GraderQuerySet:
        return self.filter(superseded=False)


class Grader(models.Model):
    """One version of a grader. ``config`` is OpenAI grader JSON, as it travels everywhere."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="graders")
    name = models.CharField(max_length=120)
    version = models.PositiveIntegerField(default=1)
    superseded = models.BooleanField(default=False)
    config = models.JSONField()
    preset = models.CharField(max_length=40, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = GraderQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name", "version"], name="one_grader_version"),
            models.UniqueConstraint(
                fields=["workspace", "name"], condition=models.Q(superseded=False), name="one_current_grader_version"
            ),
        ]
        ordering = ["name", "-version"]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"

    def get_absolute_url(self) -> str:
        return reverse("graders:grader", args=[self.pk])


class Judgement(models.Model):
    """What a judge said to one question, kept so that it is paid for once. ``digest``: of everything it was asked."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="judgements")
    digest = models.CharField(max_length=32)
    model = models.CharField(max_length=200)
    text = models.TextField()
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "digest"], name="one_judgement_per_question")]

    def __str__(self) -> str:
        return f"{self.model}: {self.text[:60]}"
