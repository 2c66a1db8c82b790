"""Working with records: the list, changes of many of them, the history, one record."""

from __future__ import annotations

import json

from django.contrib import messages
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from datasets_app import access, bulk, editing, panels, services
from datasets_app import snapshots as frozen
from datasets_app.filters import Where
from datasets_app.models import Dataset, DatasetRecord
from datasets_app.record_forms import EditRecordForm
from datasets_app.strip import dataset_steps
from rft_project.jobs.models import live_job
from rft_project.jobs.services import request_cancel, retry
from rft_project.web.http import Request
from rft_project.web.regions import SeeOther
from rft_project.web.text import plural


@require_GET
def records(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    context = {
        "dataset": dataset,
        "panel": panels.records_panel(dataset, request.GET.dict()),
        "work": panels.bulk_work_panel(dataset),
        "steps": dataset_steps(dataset),
    }
    return render(request, "datasets_app/records.html", context)


def back(dataset: Dataset, where: Where) -> SeeOther:
    """To the list as it was seen."""
    return SeeOther(f"{reverse('datasets:records', args=[dataset.pk])}?{where.address()}".rstrip("?"))


@require_http_methods(["GET", "POST"])
def bulk_change(request: Request, pk: int):
    """GET shows what would happen, POST does it."""
    dataset = access.dataset(request.user, pk)
    given = request.POST if request.method == "POST" else request.GET
    where = Where.read(given.dict())
    try:
        plan = bulk.read_plan(dataset, given, complete=request.method == "POST")
        if request.method == "GET":
            context = {
                "dataset": dataset,
                "panel": panels.preview_panel(dataset, plan),
                "steps": dataset_steps(dataset),
            }
            return render(request, "datasets_app/bulk.html", context)
        change = bulk.begin(dataset, plan, by=request.user)
    except services.Refused as refused:
        messages.error(request, str(refused))
        return back(dataset, where)
    if change is None:
        messages.info(request, "Nothing had to change.")
    elif change.job is None:
        messages.success(request, f"{change.sentence}: {plural(change.count, 'record')}.")
    return back(dataset, where)


@require_POST
def stop_bulk(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    job = live_job(bulk.lock_key(dataset))
    if job is not None:
        request_cancel(job)
    return redirect("datasets:records", pk)


@require_GET
def changes(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    context = {
        "dataset": dataset,
        "panel": panels.changes_panel(dataset, request.GET.get("before", "")),
        "work": panels.bulk_work_panel(dataset),
        "steps": dataset_steps(dataset),
    }
    return render(request, "datasets_app/changes.html", context)


@require_POST
def undo_change(request: Request, pk: int, change_pk: int):
    change = access.change(request.user, pk, change_pk)
    try:
        done = bulk.undo(change, by=request.user)
        if done is not None:
            messages.success(request, bulk.undone_sentence(done))
    except services.Refused as refused:
        messages.error(request, str(refused))
    pages = {"history": "datasets:changes", "findings": "datasets:privacy"}
    return redirect(next((pages[name] for name in pages if name in request.POST), "datasets:records"), pk)


@require_POST
def change_again(request: Request, pk: int, change_pk: int):
    """A change that failed or was stopped half-way goes on from where it was."""
    change = access.change(request.user, pk, change_pk)
    if change.job is not None and change.undone_at is None:
        retry(change.job)
    return redirect("datasets:records", pk)


@require_POST
def undo_last(request: Request, pk: int):
    """Take the person's own last change back; the drawer shows the record it was about."""
    dataset = access.dataset(request.user, pk)
    change = bulk.last_of(dataset, request.user)
    if change is None:
        messages.info(request, "There is nothing of yours to undo here.")
        return back(dataset, Where())
    about = change.rows.values_list("record_id", flat=True)[0] if change.count == 1 else 0
    try:
        done = bulk.undo(change, by=request.user)
    except services.Refused as refused:
        messages.error(request, str(refused))
        return back(dataset, Where())
    record = access.record_or_none(dataset, about)
    sentence = bulk.undone_sentence(done) if done is not None else "It is being undone."
    if request.htmx and record is not None:
        return drawer(request, record, changed=True, toast=sentence)
    messages.success(request, sentence)
    return back(dataset, Where())


# ---------------------------------------------------------------- one record


def drawer(request: Request, record: DatasetRecord, *, changed: bool = False, toast: str = ""):
    """The record beside the list. ``changed``: the list is told, so that its line says the same."""
    context = {"dataset": record.dataset, "record": record, "panel": panels.record_panel(record)}
    response = render(request, "datasets_app/_record.html", context)
    events: dict[str, object] = {"toast": toast} if toast else {}
    if changed:
        events["record-changed"] = {"pk": record.pk, "topic": record.topic or ""}
    if events:
        response["HX-Trigger"] = json.dumps(events)
    return response


@require_GET
def record(request: Request, pk: int, record_pk: int):
    record = access.record(request.user, pk, record_pk)
    if request.htmx:
        return drawer(request, record)
    context = {"dataset": record.dataset, "record": record, "panel": panels.record_panel(record)}
    context["steps"] = dataset_steps(record.dataset)
    return render(request, "datasets_app/record.html", context)


@require_POST
def set_topic(request: Request, pk: int, record_pk: int):
    record = access.record(request.user, pk, record_pk)
    try:
        editing.set_topic(record, request.POST.get("topic", ""), by=request.user)
    except services.Refused as refused:
        messages.error(request, str(refused))
        return redirect("datasets:record", pk, record_pk)
    record = access.record(request.user, pk, record_pk)
    if request.htmx:
        return drawer(request, record, changed=True)
    messages.success(request, f"Record {record.pk} is now under {record.topic}.")
    return redirect("datasets:record", pk, record_pk)


@require_http_methods(["GET", "POST"])
def edit_record(request: Request, pk: int, record_pk: int):
    record = access.record(request.user, pk, record_pk)
    form = EditRecordForm(request.POST) if request.method == "POST" else EditRecordForm.of(record)
    if request.method == "POST" and form.is_valid():
        try:
            change = editing.edit(record, form.trace(record), seen=form.cleaned_data["seen"], by=request.user)
        except services.Refused as refused:
            form.add_error(refused.field, str(refused))
        else:
            messages.success(request, "Saved and checked again." if change else "Nothing was different.")
            return SeeOther(reverse("datasets:record", args=[pk, record_pk]))
    context = {"dataset": record.dataset, "record": record, "form": form}
    status = 422 if form.errors else 200
    if request.htmx:
        return render(request, "datasets_app/_edit_record.html", context, status=status)
    context["steps"] = dataset_steps(record.dataset)
    return render(request, "datasets_app/edit_record.html", context, status=status)


# ---------------------------------------------------------------- snapshots


@require_GET
def snapshots(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    context = {"dataset": dataset, "panel": panels.snapshots_panel(dataset), "steps": dataset_steps(dataset)}
    return render(request, "datasets_app/snapshots.html", context)


@require_POST
def freeze(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    try:
        snapshot = frozen.freeze(dataset, by=request.user)
        if snapshot.content_hash:
            messages.success(request, f"{plural(snapshot.report['records'], 'record')} frozen.")
    except services.Refused as refused:
        messages.error(request, str(refused))
    return redirect("datasets:snapshots", pk)


@require_GET
def snapshot_diff(request: Request, pk: int, other_pk: int, snapshot_pk: int):
    before = access.snapshot(request.user, pk, other_pk)
    after = access.snapshot(request.user, pk, snapshot_pk)
    context = {"dataset": after.dataset, "panel": panels.diff_panel(before, after)}
    context["steps"] = dataset_steps(after.dataset)
    return render(request, "datasets_app/snapshot_diff.html", context)
