"""From a stored connection to a platform that can be called: the only place that opens credentials."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import timezone

from rft_project.platforms import build
from rft_project.platforms.base import Platform
from rft_project.platforms.errors import PlatformError

from .models import Connection, Workspace

LOCAL_NAME = "This machine"


def local_connection(workspace: Workspace) -> Connection:
    """The connection to our own engine, made when first asked for; its address and key are the server's settings."""
    found = workspace.connections.filter(kind="local").first()
    if found is not None:
        return found
    connection = Connection(workspace=workspace, kind="local", name=LOCAL_NAME)
    connection.set_credentials({})
    connection.save()
    return connection


def platform_for(connection: Connection) -> Platform:
    """Build the adapter. Raises SealError or PlatformError, each with a sentence for people."""
    values: dict[str, Any] = connection.credentials()
    if connection.kind == "local":
        # The engine of this server moves with the settings; nothing of it is stored.
        values = {"base_url": settings.ENGINE_URL, "api_key": settings.ENGINE_KEY, **values}
    return build(connection.kind, values)


def check(connection: Connection) -> str:
    """Call the platform once; remembers and returns the error's sentence, '' when all is well."""
    try:
        platform_for(connection).check()
        error = ""
    except PlatformError as problem:
        error = str(problem)[:500]
    Connection.objects.filter(pk=connection.pk).update(checked_at=timezone.now(), last_error=error)
    return error
