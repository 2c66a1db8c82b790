"""Calls that spend, for operators: look, and decide about those that nobody heard of again."""

from __future__ import annotations

from collections.abc import Callable

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest

from rft_project.connections.admin import ReadOnly

from . import decisions
from .models import ExternalCall


class DecisionForm(ActionForm):
    """The action and, where something was found, what it is called there."""

    remote_id = forms.CharField(required=False, max_length=500, label="Platform's id")


@admin.register(ExternalCall)
class ExternalCallAdmin(ReadOnly):
    list_display = ["id", "subject", "operation", "connection", "state", "attempts", "sent_at", "remote_id", "said"]
    list_filter = ["state", "operation"]
    list_select_related = ["connection"]
    search_fields = ["=id", "key", "remote_id", "subject"]
    action_form = DecisionForm
    actions = ["not_there", "is_there"]

    @admin.action(description="It is not there: may be sent again")
    def not_there(self, request: HttpRequest, queryset: QuerySet[ExternalCall]) -> None:
        self._decide(request, queryset, lambda call: decisions.not_there(call, by=request.user))

    @admin.action(description="It is there: take the platform's id (one call)")
    def is_there(self, request: HttpRequest, queryset: QuerySet[ExternalCall]) -> None:
        if queryset.count() != 1:
            messages.error(request, "Choose one call: an id belongs to one.")
            return
        remote_id = request.POST.get("remote_id", "")
        self._decide(request, queryset, lambda call: decisions.is_there(call, remote_id, by=request.user))

    def _decide(
        self, request: HttpRequest, queryset: QuerySet[ExternalCall], decide: Callable[[ExternalCall], None]
    ) -> None:
        for call in queryset.select_related("connection__workspace"):
            try:
                decide(call)
                messages.info(request, f"Noted for the {call}.")
            except decisions.Refused as refused:
                messages.error(request, str(refused))
