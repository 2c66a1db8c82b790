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


def owned_workspaces(user: Any) -> list[Workspace]:
    """Workspaces whose connections the user may change, oldest first; the first visit makes one."""
    home_workspace(user)
    return list(Workspace.objects.filter(memberships__user=user, memberships__role=OWNER).order_by("pk"))


def owned_workspace(user: Any, pk: int) -> Workspace:
    """A workspace whose connections the user may change: 404 for members as well as for strangers."""
    return get_object_or_404(Workspace, pk=pk, memberships__user=user, memberships__role=OWNER)


def connection_of(workspace: Workspace, pk: str) -> Connection:
    """The workspace's connection that a form names; 404 for anything else."""
    try:
        return get_object_or_404(workspace.connections, pk=UUID(pk))
    except ValueError:
        raise Http404 from None


def connection(user: Any, pk: UUID) -> Connection:
    found = Connection.objects.select_related("workspace").filter(workspace__memberships__user=user)
    return get_object_or_404(found, pk=pk)


def owned_connection(user: Any, pk: UUID) -> Connection:
    """A connection the user may change: 404 for members as well as for strangers."""
    found = connection(user, pk)
    require_owner(user, found.workspace)
    return found


def require_owner(user: Any, workspace: Workspace) -> None:
    """404 unless the user owns the workspace."""
    if not owns(user, workspace):
        raise Http404


def owns(user: Any, workspace: Workspace) -> bool:
    """Whether the user may change the workspace's connections."""
    return Membership.objects.filter(workspace=workspace, user=user, role=OWNER).exists()
