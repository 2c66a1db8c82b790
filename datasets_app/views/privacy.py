from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from datasets_app import access, actions, bulk, consent, panels, services
from datasets_app import privacy as domain
from datasets_app.models import Dataset
from datasets_app.privacy_forms import FindingsForm, ScanForm
from datasets_app.strip import dataset_steps
from rft_project.web.http import Request
from rft_project.web.regions import region
from rft_project.web.text import plural


def back_to(dataset: Dataset, kind: str = ""):
    """The page, with the kind that was being looked at."""
    return redirect(reverse("datasets:privacy", args=[dataset.pk]) + (f"?kind={kind}#values" if kind else ""))


@require_GET
def privacy(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    after = request.GET.get("after", "")
    number = int(after) if after.isdecimal() and len(after) < 10 else 0
    context = {
        "dataset": dataset,
        "panel": panels.privacy_panel(dataset, request.GET.get("kind", ""), number),
        "work": panels.privacy_work_panel(dataset),
        "steps": dataset_steps(dataset, here="A"),
    }
    return render(request, "datasets_app/privacy.html", context)


@require_GET
def privacy_work(request: Request, pk: int):
    panel = panels.privacy_work_panel(access.dataset(request.user, pk))
    return region(
        request,
        "datasets_app/_privacy_work.html",
        {"panel": panel},
        version=panel.version,
        page=panel.page,
        refresh=not panel.is_live,
    )


@require_POST
def run_scan(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    form = ScanForm(request.POST)
    if form.is_valid() and form.cleaned_data["asked"]:
        domain.look_for_names(dataset, form.cleaned_data["names"])
    actions.start(dataset, actions.SCAN, {}, by=request.user)
    return back_to(dataset)


@require_POST
def run_redact(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    form = FindingsForm(request.POST)
    if not form.is_valid():
        messages.error(request, form.sentence())
        return back_to(dataset)
    kind = form.cleaned_data["kind"]
    try:
        change = bulk.redact(dataset, kind, form.cleaned_data["values"], by=request.user)
    except services.Refused as refused:
        messages.error(request, str(refused))
        return back_to(dataset, kind)
    if change is None:
        messages.info(request, "There was nothing left to redact.")
    elif change.job is None:
        messages.success(request, f"{change.sentence} in {plural(change.count, 'record')}.")
    return back_to(dataset, kind)


@require_POST
def set_false_alarms(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    form = FindingsForm(request.POST)
    if not form.is_valid():
        messages.error(request, form.sentence())
        return back_to(dataset)
    kind, alarm = form.cleaned_data["kind"], not form.cleaned_data["again"]
    try:
        with transaction.atomic():
            messages.success(request, domain.decide(dataset, kind, form.cleaned_data["values"], alarm, by=request.user))
    except domain.Locked as locked:
        messages.error(request, str(locked))
    return back_to(dataset, kind)


@require_POST
def set_helper_consent(request: Request, pk: int):
    """The helper model may see what the person was just told of."""
    dataset = access.dataset(request.user, pk)
    try:
        consent.ask_first(consent.about_helper(dataset), agreed=request.POST.get("agreed", ""), by=request.user)
    except consent.Unasked as unasked:
        messages.error(request, f"The findings changed meanwhile. {unasked}")
    else:
        messages.success(request, "The helper model may see them; it is asked from the next sorting on.")
    return redirect("datasets:generate" if "generate" in request.POST else "datasets:topics", pk)
