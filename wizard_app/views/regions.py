from __future__ import annotations

from django.urls import reverse
from django.views.decorators.http import require_GET

from rft_project.web.http import Request
from rft_project.web.regions import region
from wizard_app import access
from wizard_app.panels.dry_run import work_panel
from wizard_app.panels.results import results_panel
from wizard_app.panels.training import training_panel


@require_GET
def dry_run_work(request: Request, pk: int):
    run = access.run(request.user, pk)
    panel = work_panel(run)
    page = reverse("wizard:dry_run", args=[pk])
    return region(
        request,
        "wizard_app/_dry_run_work.html",
        {"work": panel},
        version=panel.version,
        refresh=not panel.is_live,
        page=page,
    )


@require_GET
def training(request: Request, pk: int):
    run = access.run(request.user, pk)
    panel = training_panel(run)
    page = reverse("wizard:train", args=[pk])
    return region(
        request,
        "wizard_app/_training.html",
        {"panel": panel},
        version=panel.version,
        refresh=not panel.is_live,
        page=page,
    )


@require_GET
def comparison(request: Request, pk: int):
    run = access.run(request.user, pk)
    panel = results_panel(run)
    page = reverse("wizard:results", args=[pk])
    return region(
        request,
        "wizard_app/_comparison.html",
        {"panel": panel},
        version=panel.version,
        refresh=not panel.is_live,
        page=page,
    )
