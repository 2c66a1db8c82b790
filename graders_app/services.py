"""What people do with graders, as functions."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from graders_app.core.errors import GraderError
from graders_app.core.jail.imports import SourceRefused, plan_imports
from graders_app.core.spec import MultiSpec, PythonSpec, children, parse_grader
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
    check_document(config)
    current = current_version(workspace, name)
    if current is not None and current.config == config:
        return current
    try:
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
    except IntegrityError:
        raise GraderError("someone saved this grader at the same moment, load the page again.", "name") from None


def create_grader(workspace: Workspace, name: str, config: JsonDict, *, preset: str = "", by: HasPk | None) -> Grader:
    """Save a grader that is not there yet. Raises GraderError, also where the name is taken."""
    if current_version(workspace, name.strip()) is not None:
        raise GraderError("a grader of this name is there already, choose another name or open that one.", "name")
    return save_grader(workspace, name, config, preset=preset, by=by)


def next_version(grader: Grader, config: JsonDict, *, seen: int, preset: str = "", by: HasPk | None) -> Grader:
    """Save ``config`` as the next version of ``grader``; ``preset`` where it still is what that preset makes.

    ``seen``: the current version as the author of the change saw it; a newer one means that somebody else saved
    meanwhile, and GraderError says so instead of undoing their change.
    """
    current = current_version(grader.workspace, grader.name)
    if current is not None and current.version != seen:
        raise GraderError(
            f"version {current.version} was saved meanwhile, open it and make your change there.", "version"
        )
    return save_grader(grader.workspace, grader.name, config, preset=preset, by=by)


def current_version(workspace: Workspace, name: str) -> Grader | None:
    return Grader.objects.filter(workspace=workspace, name=name).latest_versions().first()


def check_document(config: JsonDict) -> None:
    """Raises GraderError for a document that is wrong, and for python source that may not import what it imports."""
    spec = parse_grader(config)
    for key, child in children(spec).items():
        if isinstance(child, PythonSpec):
            try:
                plan_imports(child.source)
            except SourceRefused as error:
                field = f"graders.{key}.source" if isinstance(spec, MultiSpec) else "source"
                raise GraderError(f"{str(error).rstrip('.')}.", field) from None
