from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST
from django_htmx.http import HttpResponseClientRedirect

from datasets_app.consent import Unasked
from graders_app.core.errors import GraderError
from rft_project.jobs.services import request_cancel
from rft_project.money.expenses import set_cap
from rft_project.money.forms import CapForm
from rft_project.platforms.errors import PlatformError
from rft_project.web.http import Request
from rft_project.web.regions import region
from wizard_app import (
    access,
    attacking,
    calibration,
    deploying,
    flow,
    forms,
    grading,
    pausing,
    repeating,
    services,
    splitting,
    trying,
)
from wizard_app.attempts import as_trained
from wizard_app.panels import frame
from wizard_app.panels.attack import attack_panel
from wizard_app.panels.calibration import repeats_panel
from wizard_app.panels.choices import grader_panel, train_form
from wizard_app.panels.deployments import deploy_form
from wizard_app.panels.sending import ATTACK, REPEATS, TRIAL, question_url
from wizard_app.paying import about
from wizard_app.schemas import DryRunParams, SplitParams, TrainParams

REFUSALS = (services.Refused, PlatformError, GraderError)


@require_POST
def do_split(request: Request, pk: int):
    run = access.run(request.user, pk)
    form = forms.SplitForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Enter a share from 0.1 to 0.99 and whole numbers.")
        return redirect("wizard:split", pk)
    try:
        splitting.start_split(run, SplitParams(**form.to_params()), by=request.user)
    except REFUSALS as refused:
        messages.error(request, str(refused))
    return redirect("wizard:split", pk)


@require_POST
def do_grader(request: Request, pk: int):
    run = access.run(request.user, pk)
    form = forms.GraderChoiceForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose one of the graders.")
        return redirect("wizard:grader", pk)
    try:
        services.choose_grader(run, grading.chosen(run, *form.cleaned_data["choice"], by=request.user))
    except REFUSALS as refused:
        messages.error(request, str(refused))
    return redirect("wizard:grader", pk)


@require_POST
def do_trial(request: Request, pk: int):
    """Score one answer with the run's grader; without script the whole page comes back with it."""
    run = access.run(request.user, pk)
    form, tried, refusal = forms.TrialForm(request.POST), None, ""
    if form.is_valid():
        values, agreed = form.cleaned_data, request.POST.get("agreed", "")
        try:
            tried = trying.try_answer(
                run, values["item"], values["how"], values["answer"], agreed=agreed, by=request.user
            )
        except Unasked:
            ask = question_url(request, run, TRIAL)
            return HttpResponseClientRedirect(ask) if request.htmx else redirect(ask)
        except REFUSALS as refused:
            refusal = str(refused)
    context = {"run": run, "panel": grader_panel(run), "tried": tried, "refusal": refusal}
    if form.is_valid() and not request.htmx:
        page = {**frame.page(run, flow.GRADER), **context, "attack": attack_panel(run)}
        return render(request, "wizard_app/grader.html", page)
    return region(request, "wizard_app/_trial.html", context, page=reverse("wizard:grader", args=[pk]))


@require_POST
def do_attack(request: Request, pk: int):
    run = access.run(request.user, pk)
    try:
        attacking.start_attack(run, by=request.user, agreed=request.POST.get("agreed", ""))
    except Unasked:
        return redirect(question_url(request, run, ATTACK))
    except REFUSALS as refused:
        messages.error(request, str(refused))
    return redirect(f"{reverse('wizard:grader', args=[pk])}#attack")


@require_POST
def do_stop_attack(request: Request, pk: int):
    job = attack_panel(access.run(request.user, pk)).job
    if job is not None:
        request_cancel(job)
    return redirect(f"{reverse('wizard:grader', args=[pk])}#attack")


@require_POST
def do_repeats(request: Request, pk: int):
    run = access.run(request.user, pk)
    try:
        repeating.start_repeats(run, by=request.user, agreed=request.POST.get("agreed", ""))
    except Unasked:
        return redirect(question_url(request, run, REPEATS))
    except REFUSALS as refused:
        messages.error(request, str(refused))
    return redirect("wizard:rate", pk)


@require_POST
def do_stop_repeats(request: Request, pk: int):
    job = repeats_panel(access.run(request.user, pk)).job
    if job is not None:
        request_cancel(job)
    return redirect("wizard:rate", pk)


@require_POST
def do_rate(request: Request, pk: int):
    run = access.run(request.user, pk)
    form = forms.RatingForm(request.POST)
    try:
        if form.is_valid():
            calibration.rate(run, form.cleaned_data["rollout"], form.cleaned_data["step"], by=request.user)
    except REFUSALS as refused:
        messages.error(request, str(refused))
    return redirect("wizard:rate", pk)


@require_POST
def do_unrate(request: Request, pk: int):
    calibration.take_back(access.run(request.user, pk), by=request.user)
    return redirect("wizard:rate", pk)


@require_POST
def do_dry_run(request: Request, pk: int):
    run = access.run(request.user, pk)
    form = forms.DryRunForm(request.POST)
    if not form.is_valid():
        messages.error(request, form.problem())
        return redirect("wizard:dry_run", pk)
    given = form.cleaned_data
    params = DryRunParams(
        connection=given["model"][0],
        model=given["model"][1],
        size=given["size"],
        answers=given["answers"],
        reasoning_effort=given["reasoning_effort"],
        response_format=given["answer_schema"],
    )
    try:
        services.start_dry_run(run, params, by=request.user, agreed=request.POST.get("agreed", ""))
    except Unasked:
        return redirect(question_url(request, run, flow.DRY_RUN))
    except REFUSALS as refused:
        messages.error(request, str(refused))
    return redirect("wizard:dry_run", pk)


@require_POST
def do_override(request: Request, pk: int):
    run = access.run(request.user, pk)
    form = forms.OverrideForm(request.POST)
    try:
        services.override_no_go(run, form.cleaned_data["reason"] if form.is_valid() else "", by=request.user)
    except REFUSALS as refused:
        messages.error(request, str(refused))
        return redirect("wizard:dry_run", pk)
    return redirect("wizard:train", pk)


@require_POST
def do_cap(request: Request, pk: int):
    run = access.run(request.user, pk)
    form, back = CapForm(request.POST), request.POST.get("back", "")
    if form.is_valid():
        given = form.cleaned_data
        set_cap(run.workspace, about(run), usd=given["usd"], tokens=given["tokens"], by=request.user)
    else:
        messages.error(request, "Enter an amount above 0, or leave the field empty for no limit.")
    return redirect(f"wizard:{back if back in flow.BY_SLUG else 'run'}", pk)


@require_POST
def do_train(request: Request, pk: int):
    run = access.run(request.user, pk)
    form, problem = train_form(run, request.POST)
    if form is None or not form.is_valid():
        messages.error(request, problem or "A setting is outside its limits.")
        return redirect("wizard:train", pk)
    params = TrainParams(hyperparameters=form.hyperparameters(), options=form.options())
    try:
        services.start_training(run, params, by=request.user, agreed=request.POST.get("agreed", ""))
    except Unasked:
        return redirect(question_url(request, run, flow.TRAIN))
    except REFUSALS as refused:
        messages.error(request, str(refused))
    return redirect("wizard:train", pk)


@require_POST
def do_pause(request: Request, pk: int):
    return _turned(request, pk, pausing.pause)


@require_POST
def do_go_on(request: Request, pk: int):
    return _turned(request, pk, pausing.go_on)


def _turned(request: Request, pk: int, turn: Callable[..., None]) -> HttpResponse:
    run = access.run(request.user, pk)
    try:
        turn(run, by=request.user)
    except REFUSALS as refused:
        messages.error(request, str(refused))
    return redirect("wizard:train", pk)


@require_POST
def do_compare(request: Request, pk: int):
    run = access.run(request.user, pk)
    try:
        services.start_evaluation(run, by=request.user, agreed=request.POST.get("agreed", ""))
    except Unasked:
        return redirect(question_url(request, run, flow.RESULTS))
    except REFUSALS as refused:
        messages.error(request, str(refused))
    return redirect("wizard:results", pk)


@require_POST
def do_stop(request: Request, pk: int, step: str):
    run = access.run(request.user, pk)
    if step not in flow.BY_SLUG:
        raise Http404
    job = flow.state_of(run, step).job
    if job is not None:
        request_cancel(job)
    return redirect(f"wizard:{step}", pk)


@require_POST
def do_again(request: Request, pk: int, step: str):
    run = access.run(request.user, pk)
    if step not in flow.BY_SLUG:
        raise Http404
    try:
        services.again(run, step, by=request.user, agreed=request.POST.get("agreed", ""))
    except Unasked:
        return redirect(question_url(request, run, step, again=True))
    except REFUSALS as refused:
        messages.error(request, str(refused))
    return redirect(f"wizard:{step}", pk)


@require_POST
def do_deploy(request: Request, pk: int):
    run = access.run(request.user, pk)
    form = deploy_form(as_trained(run), request.POST)
    if not form.is_valid():
        messages.error(request, "A setting of the deployment is outside its limits.")
        return redirect("wizard:results", pk)
    try:
        made = deploying.deploy(run, model=form.cleaned_data["model"], options=form.options(), by=request.user)
    except REFUSALS as refused:
        messages.error(request, str(refused))
        return redirect("wizard:results", pk)
    return redirect(made)


@require_POST
def do_look(request: Request, pk: int, deployment_pk: int):
    deployment = access.deployment(request.user, pk, deployment_pk)
    deploying.look(deployment, by=request.user)
    return redirect(deployment)


@require_POST
def do_promote(request: Request, pk: int, deployment_pk: int):
    deployment = access.deployment(request.user, pk, deployment_pk)
    try:
        deploying.promote(deployment, request.POST.get("model", ""), by=request.user)
    except REFUSALS as refused:
        messages.error(request, str(refused))
    return redirect(deployment)


@require_POST
def do_undeploy(request: Request, pk: int, deployment_pk: int):
    deployment = access.deployment(request.user, pk, deployment_pk)
    try:
        done = deploying.undeploy(deployment, by=request.user)
        messages.success(request, f"{'Taken back' if done else 'Being taken back'}. The tuned model itself is kept.")
    except REFUSALS as refused:
        messages.error(request, str(refused))
    return redirect(deployment)
