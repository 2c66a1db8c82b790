from __future__ import annotations

from django.contrib import messages
from django.http import JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from datasets_app.consent import Unasked
from rft_project.platforms.errors import PlatformError
from rft_project.web.http import Request
from wizard_app import access, flow, forms, reports, services
from wizard_app import playground as playing
from wizard_app.models import RFTJob
from wizard_app.panels import frame
from wizard_app.panels.attack import attack_panel
from wizard_app.panels.calibration import rate_panel, repeats_panel, trust_sentence
from wizard_app.panels.choices import asked_with, grader_panel, split_panel, train_form, work_of
from wizard_app.panels.costs import spoken_cost
from wizard_app.panels.deployments import deployment_lines, deployment_panel
from wizard_app.panels.dry_run import dry_run_defaults, dry_run_panel, work_panel
from wizard_app.panels.models import chooser
from wizard_app.panels.results import results_panel
from wizard_app.panels.sending import COMMANDS, asked_about, page_of, sending_panel
from wizard_app.panels.training import training_panel
from wizard_app.paying import cost_of_training


@require_GET
def runs(request: Request):
    found = RFTJob.objects.of(request.user).select_related("dataset", "snapshot")
    return render(request, "wizard_app/runs.html", {"rows": flow.standings(list(found[:100]))})


@require_http_methods(["GET", "POST"])
def new_run(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    number = dataset.runs.count() + 1
    form = forms.NewRunForm(request.POST or None, initial={"name": f"{dataset.name[:100]}, run {number}"})
    if request.method == "POST" and form.is_valid():
        try:
            run = services.create_run(dataset, form.cleaned_data["name"], by=request.user)
        except services.Refused as refused:
            form.add_error("name", str(refused))
        else:
            return redirect("wizard:split", run.pk)
    context = {"dataset": dataset, "form": form, "earlier": dataset.runs.all()[:10]}
    context["steps"] = frame.dataset_steps(dataset, here="F")
    return render(request, "wizard_app/new_run.html", context, status=422 if form.errors else 200)


@require_GET
def run(request: Request, pk: int):
    run = access.run(request.user, pk)
    return redirect(f"wizard:{flow.first_open(run).kind.slug}", run.pk)


@require_GET
def split(request: Request, pk: int):
    run = access.run(request.user, pk)
    panels = {"panel": split_panel(run), "work": work_of(run, flow.SPLIT)}
    return render(request, "wizard_app/split.html", {**frame.page(run, flow.SPLIT), **panels})


@require_GET
def grader(request: Request, pk: int):
    run = access.run(request.user, pk)
    if flow.state_of(run, flow.GRADER).closed:
        return redirect("wizard:run", pk)
    panels = {"panel": grader_panel(run), "attack": attack_panel(run)}
    return render(request, "wizard_app/grader.html", {**frame.page(run, flow.GRADER), **panels})


@require_GET
def dry_run(request: Request, pk: int):
    run = access.run(request.user, pk)
    if flow.state_of(run, flow.DRY_RUN).closed:
        return redirect("wizard:run", pk)
    context = frame.page(run, flow.DRY_RUN)
    context |= {"panel": dry_run_panel(run, request.GET.get("samples", "lowest")), "work": work_panel(run)}
    context["chooser"] = None if context["work"].is_live else chooser(run, request.user)
    context["form"] = forms.DryRunForm(initial=dry_run_defaults(run))
    context["override"], context["trust"] = forms.OverrideForm(), trust_sentence(run)
    return render(request, "wizard_app/dry_run.html", context)


@require_GET
def train(request: Request, pk: int):
    run = access.run(request.user, pk)
    state = flow.state_of(run, flow.TRAIN)
    if state.closed:
        messages.warning(request, state.closed)
        return redirect("wizard:dry_run", pk)
    context = {**frame.page(run, flow.TRAIN), "panel": training_panel(run)}
    context["form"], context["problem"] = train_form(run)
    context["asked"] = asked_with(run)
    context["cost"] = cost_of_training(run, run.hyperparameters)
    context["costs"] = spoken_cost(context["cost"])
    return render(request, "wizard_app/train.html", context)


@require_GET
def results(request: Request, pk: int):
    run = access.run(request.user, pk)
    if flow.state_of(run, flow.RESULTS).closed:
        return redirect("wizard:run", pk)
    panel = results_panel(run, request.GET.get("pairs", "improved"))
    return render(request, "wizard_app/results.html", {**frame.page(run, flow.RESULTS), "panel": panel})


@require_GET
def deployments(request: Request):
    return render(request, "wizard_app/deployments.html", {"lines": deployment_lines(request.user)})


@require_GET
def deployment(request: Request, pk: int, deployment_pk: int):
    panel = deployment_panel(access.deployment(request.user, pk, deployment_pk))
    run = panel.deployment.run
    return render(request, "wizard_app/deployment.html", {**frame.page(run, flow.RESULTS), "panel": panel})


@require_http_methods(["GET", "POST"])
def playground(request: Request, pk: int):
    run = access.run(request.user, pk)
    if not run.tuned_model:
        return redirect("wizard:run", pk)
    form = forms.PlaygroundForm(request.POST or None)
    shown, answers = access.shown_deployment(run, request.GET.get("deployment", "")), None
    if request.method == "POST" and form.is_valid():
        try:
            answers = playing.ask(run, form.cleaned_data["prompt"], shown.model if shown is not None else "")
        except (PlatformError, Unasked) as error:
            form.add_error("prompt", str(error))
    context = {**frame.page(run, flow.RESULTS), "form": form, "answers": answers}
    context |= {"results_url": reverse("wizard:results", args=[run.pk]), "shown": shown}
    return render(request, "wizard_app/playground.html", context, status=422 if form.errors else 200)


@require_GET
def rate(request: Request, pk: int):
    run = access.run(request.user, pk)
    context = {**frame.page(run, flow.DRY_RUN), "panel": rate_panel(run, request.user), "repeats": repeats_panel(run)}
    return render(request, "wizard_app/rate.html", context)


@require_GET
def sending(request: Request, pk: int, step: str):
    """Asks before records with unreviewed findings go out; the button carries on with what was pressed."""
    run = access.run(request.user, pk)
    if step not in COMMANDS:
        return redirect("wizard:run", pk)
    asked = asked_about(request)
    if asked is None:
        messages.error(request, "What you typed is kept no more; enter it again.")
        return redirect(page_of(run, step))
    panel = sending_panel(run, step, asked)
    if panel is None:
        return redirect("wizard:run", pk)
    here = step if step in flow.BY_SLUG else flow.GRADER
    return render(request, "wizard_app/sending.html", {**frame.page(run, here), "panel": panel})


@require_GET
def report(request: Request, pk: int):
    run = access.run(request.user, pk)
    headers = {"Content-Disposition": f'attachment; filename="run-{run.pk}.json"'}
    return JsonResponse(reports.run_report(run), headers=headers, json_dumps_params={"indent": 2})
