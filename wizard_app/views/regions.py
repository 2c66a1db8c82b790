from __future__ import annotations

from django.http import HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from rft_project.web.http import Request
from rft_project.web.regions import Work, work_region
from wizard_app import access, flow
from wizard_app.panels.attack import attack_panel
from wizard_app.panels.calibration import repeats_panel
from wizard_app.panels.choices import work_of
from wizard_app.panels.deployments import deployment_panel
from wizard_app.panels.dry_run import work_panel
from wizard_app.panels.results import results_panel
from wizard_app.panels.training import training_panel


def _of_step(request: Request, pk: int, template: str, panel: Work, step: str) -> HttpResponse:
    return work_region(request, template, panel, page=reverse(f"wizard:{step}", args=[pk]))


@require_GET
def attack(request: Request, pk: int):
    panel = attack_panel(access.run(request.user, pk))
    return _of_step(request, pk, "wizard_app/_attack.html", panel, "grader")


@require_GET
def dry_run_work(request: Request, pk: int):
    panel = work_panel(access.run(request.user, pk))
    return _of_step(request, pk, "wizard_app/_dry_run_work.html", panel, "dry_run")


@require_GET
def repeats(request: Request, pk: int):
    panel = repeats_panel(access.run(request.user, pk))
    return _of_step(request, pk, "wizard_app/_repeats.html", panel, "rate")


@require_GET
def splitting(request: Request, pk: int):
    panel = work_of(access.run(request.user, pk), flow.SPLIT)
    return _of_step(request, pk, "wizard_app/_splitting.html", panel, "split")


@require_GET
def training(request: Request, pk: int):
    panel = training_panel(access.run(request.user, pk))
    return _of_step(request, pk, "wizard_app/_training.html", panel, "train")


@require_GET
def comparison(request: Request, pk: int):
    panel = results_panel(access.run(request.user, pk))
    return _of_step(request, pk, "wizard_app/_comparison.html", panel, "results")


@require_GET
def standing(request: Request, pk: int, deployment_pk: int):
    deployment = access.deployment(request.user, pk, deployment_pk)
    panel = deployment_panel(deployment)
    return work_region(request, "wizard_app/_standing.html", panel, page=deployment.get_absolute_url())
