"""What people do with graders, as functions."""

from __future__ import annotations

from django.db import transaction

from graders_app.core.errors import GraderError
from graders_app.core.spec import parse_grader
from rft_project.connections.models import Workspace
from rft_project.jobs.services import HasPk
from rft_project.platforms.types import JsonDict

from .models import Grader


def save_grader(workspace: Workspace, name: str, config: JsonDict, *, preset: str = "", by: HasPk | None) -> Grader:
    """Save ``config`` under ``name``: a new grader, or the next version of the one that has the name.

    Saving what is there already changes nothing. Raises GraderError with a sentence naming the field.
    """
    name = name.strip()
    if not name:
        raise GraderError("give the grader a name.", "name")
    parse_grader(config)
    current = Grader.objects.filter(workspace=workspace, name=name).latest_versions().first()
    if current is not None and current.config == config:
        return current
    with transaction.atomic():
        version = 1
        if current is not None:
            version = current.version + 1
            Grader.objects.filter(pk=current.pk).update(superseded=True)
        return Grader.objects.create(
            workspace=workspace,
            name=name,
            version=version,
            config=config,
            preset=preset,
            created_by_id=by.pk if by else None,
        )
