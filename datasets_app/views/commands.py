from __future__ import annotations

from django.contrib import messages
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from datasets_app import access, actions, forms, panels, previewing, services
from datasets_app.models import ActionRun, Dataset
from rft_project.jobs.services import request_cancel, retry
from rft_project.web.http import Request
from rft_project.web.regions import region

from . import pages


def actions_region(request: Request, dataset: Dataset, page: str = ""):
    """The list of actions as it is now; outside htmx back to the page."""
    panel = panels.actions_panel(dataset)
    page = page or f"{dataset.get_absolute_url()}#actions"
    return region(request, "datasets_app/_actions.html", {"panel": panel}, trigger="dataset-changed", page=page)


@require_POST
def run_import(request: Request, pk: int, batch_pk: int):
    batch = access.batch(request.user, pk, batch_pk)
    if batch.job is not None and not batch.job.is_live and batch.finished_at is None:
        retry(batch.job)
    elif batch.waits:
        panel = previewing.preview_panel(batch, request.POST)
        if panel.form is None or not panel.form.is_valid() or panel.found.error:
            return render(request, "datasets_app/review_import.html", pages.review_context(batch, panel), status=422)
        previewing.start(panel, by=request.user)
    return redirect("datasets:review_import", pk, batch_pk)


@require_POST
def run_sanitize(request: Request, pk: int):
    """Check again; from the report page with the limits that are entered there."""
    dataset = access.dataset(request.user, pk)
    page = ""
    if "max_tokens" in request.POST:
        form = forms.SanitizeForm(request.POST)
        if not form.is_valid():
            return render(request, "datasets_app/report.html", pages.report_context(dataset, form, {}), status=422)
        services.configure_sanitizing(dataset, form.to_params())
        page = reverse("datasets:report", args=[pk])
    actions.start(dataset, actions.SANITIZE, {}, by=request.user)
    return actions_region(request, dataset, page)


@require_POST
def run_categorize(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    actions.start(dataset, actions.CATEGORIZE, {}, by=request.user)
    return actions_region(request, dataset, reverse("datasets:review", args=[pk]) if "review" in request.POST else "")


@require_POST
def again(request: Request, pk: int, action: str):
    """A run that failed or was stopped goes on from where it was."""
    run = access.action_run(request.user, pk, action)
    retry(run.job)
    return _after(request, run)


@require_POST
def stop(request: Request, pk: int, action: str):
    run = access.action_run(request.user, pk, action)
    request_cancel(run.job)
    return _after(request, run)


def _after(request: Request, run: ActionRun):
    """Where the run is shown: unreadable lines and topics have pages of their own."""
    if run.action == actions.REREAD:
        return redirect("datasets:rejected", run.dataset_id, run.job.params["batch"])
    if run.action in (actions.RESORT, actions.SPLIT):
        return redirect("datasets:topics", run.dataset_id)
    return actions_region(request, run.dataset)


@require_POST
def stop_import(request: Request, pk: int, batch_pk: int):
    batch = access.batch(request.user, pk, batch_pk)
    if batch.job is not None:
        request_cancel(batch.job)
    return redirect("datasets:review_import", pk, batch_pk)


@require_POST
def set_targets(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    typed = request.POST.dict()
    try:
        services.set_targets(dataset, typed)
    except services.Refused as refused:
        context = pages.coverage_context(dataset, {}, typed, str(refused))
        return render(request, "datasets_app/coverage.html", context, status=422)
    messages.success(request, "Targets saved.")
    return redirect("datasets:coverage_page", pk)
