"""The only door to workspaces and connections: the user's own, or 404 (never 403: existence is private)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.http import Http404
from django.shortcuts import get_object_or_404

from .models import OWNER, Connection, Membership, Workspace


def workspaces(user: Any) -> list[Workspace]:
    """The user's workspaces, oldest first."""
    return list(Workspace.objects.of(user).order_by("pk"))


def home_workspace(user: User) -> Workspace:
    """The workspace new things go to: the user's first one, made on the first visit."""
    found = Workspace.objects.of(user).order_by("pk").first()
    if found is not None:
        return found
    with transaction.atomic():
        workspace = Workspace.objects.create(name=f"{user.get_username()}'s workspace")
        Membership.objects.create(workspace=workspace, user=user, role=OWNER)
    return workspace


def connection(user: Any, pk: UUID) -> Connection:
    return get_object_or_404(Connection.objects.filter(workspace__memberships__user=user), pk=pk)


def require_owner(user: Any, workspace: Workspace) -> None:
    """404 unless the user owns the workspace."""
    if not Membership.objects.filter(workspace=workspace, user=user, role=OWNER).exists():
        raise Http404
