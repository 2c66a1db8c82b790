"""The plan of a generation, its run, and connecting the model that writes."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from datasets_app import access, panels, services
from datasets_app import generation as domain
from datasets_app.generation_forms import ConnectHelperForm
from datasets_app.models import Dataset
from datasets_app.strip import dataset_steps
from rft_project.connections import services as connections
from rft_project.connections.access import owns
from rft_project.jobs.services import request_cancel
from rft_project.web.http import Request
from rft_project.web.regions import region, work_region


def _page(request: Request, dataset: Dataset, panel: object, connect: ConnectHelperForm | None = None):
    bad = connect is not None and connect.errors
    context = {
        "dataset": dataset,
        "panel": panel,
        "connect": connect or ConnectHelperForm(),
        "may_connect": owns(request.user, dataset.workspace),
        "steps": dataset_steps(dataset, here="E"),
    }
    refused = request.method == "POST" and not bad
    return render(request, "datasets_app/generate.html", context, status=422 if bad or refused else 200)


@require_http_methods(["GET", "POST"])
def generate(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    panel = panels.plan_panel(dataset, request.POST if request.method == "POST" else None)
    if request.method == "POST" and panel.form.is_valid():
        try:
            return redirect(domain.begin(dataset, panel.form.plan(), by=request.user))
        except services.Refused as refused:
            panel.form.add_error(None, str(refused))
    return _page(request, dataset, panel)


@require_GET
def plan_totals(request: Request, pk: int):
    """What the numbers that stand in the form come to."""
    dataset = access.dataset(request.user, pk)
    data = request.GET if "share" in request.GET else None
    _, totals = panels.plan_totals_of(dataset, data)
    page = f"{dataset.get_absolute_url()}generate/"
    return region(request, "datasets_app/_plan_totals.html", {"panel": totals}, page=page)


@require_GET
def gaps(request: Request, pk: int):
    """What is missing, as a table to hand to people who write records."""
    answer = HttpResponse(domain.gaps_csv(access.dataset(request.user, pk)), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="gaps.csv"'
    return answer


@require_GET
def generation(request: Request, pk: int, run_pk: int):
    run = access.generation(request.user, pk, run_pk)
    context = {"dataset": run.dataset, "run": run, "panel": panels.generation_panel(run)}
    context["steps"] = dataset_steps(run.dataset, here="E")
    return render(request, "datasets_app/generation.html", context)


@require_GET
def generate_work(request: Request, pk: int, run_pk: int):
    panel = panels.generation_panel(access.generation(request.user, pk, run_pk))
    return work_region(request, "datasets_app/_generate_work.html", panel, page=panel.page)


@require_POST
def run_generate(request: Request, pk: int, run_pk: int):
    """One that was stopped, failed or ended short of its plan goes on."""
    run = access.generation(request.user, pk, run_pk)
    try:
        domain.go_on(run, by=request.user)
    except services.Refused as refused:
        messages.error(request, str(refused))
    return redirect(run)


@require_POST
def stop_generate(request: Request, pk: int, run_pk: int):
    run = access.generation(request.user, pk, run_pk)
    if run.job is not None:
        request_cancel(run.job)
    return redirect(run)


@sensitive_post_parameters("key")
@never_cache
@require_POST
def set_helper(request: Request, pk: int):
    """Two fields, one real call, and the page can generate. Only an owner of the workspace may."""
    dataset = access.dataset(request.user, pk)
    if not owns(request.user, dataset.workspace):
        raise Http404
    form = ConnectHelperForm(request.POST)
    if form.is_valid():
        given = form.cleaned_data
        try:
            made = connections.connect_helper(
                dataset.workspace, given["address"], given["model"], given["key"], by=request.user
            )
        except connections.Refused as refused:
            form.add_error(refused.field if refused.field in form.fields else None, str(refused))
        else:
            messages.success(request, f"{made.helper_model} answered; it writes from now on.")
            return redirect("datasets:generate", pk)
    return _page(request, dataset, panels.plan_panel(dataset, None), form)
