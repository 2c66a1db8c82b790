"""The review: one question at a time, answered by keys or buttons."""

from __future__ import annotations

from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from datasets_app import access, panels, reviewing, services
from datasets_app.models import Dataset
from datasets_app.strip import dataset_steps
from rft_project.web.http import Request
from rft_project.web.regions import region


@require_GET
def review(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    context = {
        "dataset": dataset,
        "panel": panels.question_panel(dataset),
        "work": panels.topic_work_panel(dataset),
        "steps": dataset_steps(dataset, here="C"),
    }
    return render(request, "datasets_app/review.html", context)


@require_GET
def question(request: Request, pk: int):
    return _asked(request, access.dataset(request.user, pk))


def _asked(request: Request, dataset: Dataset, *, wrong: str = "", put_off: int = 0, toast: str = ""):
    """The question that is open now."""
    panel = panels.question_panel(dataset, wrong=wrong, put_off=put_off)
    status = 422 if wrong else 200
    context = {"panel": panel}
    return region(request, "datasets_app/_question.html", context, status=status, page=panel.page, toast=toast)


@require_POST
def answer(request: Request, pk: int, record_pk: int):
    record = access.record(request.user, pk, record_pk)
    try:
        reviewing.answer(record, request.POST.get("topic", ""), by=request.user)
    except services.Refused as refused:
        return _asked(request, record.dataset, wrong=str(refused))
    return _asked(request, record.dataset)


@require_POST
def skip(request: Request, pk: int, record_pk: int):
    record = access.record(request.user, pk, record_pk)
    reviewing.skip(record.dataset, record.pk)
    return _asked(request, record.dataset, put_off=record.pk)


@require_POST
def ask_again(request: Request, pk: int):
    """Everything that was skipped."""
    dataset = access.dataset(request.user, pk)
    reviewing.ask_again(dataset)
    return _asked(request, dataset)


@require_POST
def undo_answer(request: Request, pk: int):
    """Take the last answer back, or the skip that came after it."""
    dataset = access.dataset(request.user, pk)
    put_off = request.POST.get("put_off", "")
    if put_off.isdecimal() and len(put_off) < 19 and reviewing.ask_again(dataset, int(put_off)):
        return _asked(request, dataset)
    try:
        return _asked(request, dataset, toast=reviewing.undo(dataset, by=request.user))
    except services.Refused as refused:
        return _asked(request, dataset, wrong=str(refused))
