"""Lines that could not be read: the table, a line mended by hand, all of them read again."""

from __future__ import annotations

from django.contrib import messages
from django.http import StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRefresh

from datasets_app import access, forms, mending, panels
from datasets_app.core.reading_lines import TEXT_KEPT
from datasets_app.services import Refused
from datasets_app.strip import dataset_steps
from rft_project.web.http import Request
from rft_project.web.regions import work_region


@require_GET
def rejected(request: Request, pk: int, batch_pk: int):
    batch = access.batch(request.user, pk, batch_pk)
    if "download" in request.GET:
        lines = mending.lines_of(batch.rejected.filter(fixed_at=None), reasons=request.GET["download"] == "reasons")
        headers = {"Content-Disposition": 'attachment; filename="rejected.jsonl"'}
        return StreamingHttpResponse(lines, content_type="text/plain", headers=headers)
    context = {
        "dataset": batch.dataset,
        "batch": batch,
        "panel": panels.rejected_panel(batch, request.GET.dict()),
        "work": panels.reread_panel(batch),
        "form": forms.RereadForm(initial={"format": batch.format}),
        "steps": dataset_steps(batch.dataset, here="A"),
    }
    return render(request, "datasets_app/rejected.html", context)


@require_http_methods(["GET", "POST"])
def mend(request: Request, pk: int, batch_pk: int, line: int):
    """One line to mend: in the drawer, or as a page of its own."""
    rejected = access.rejected_line(request.user, pk, batch_pk, line)
    form = forms.MendForm(request.POST or None, initial={"text": rejected.text})
    if request.method == "POST" and form.is_valid():
        try:
            mended = mending.mend(rejected, form.cleaned_data["text"])
        except Refused as refused:
            form.add_error(refused.field, str(refused))
        else:
            said = "is a record now" if mended.imported else "is in the dataset already; nothing was added"
            messages.success(request, f"Line {line:,} {said}.")
            return HttpResponseClientRefresh() if request.htmx else redirect("datasets:rejected", pk, batch_pk)
    context = {"dataset": rejected.batch.dataset, "batch": rejected.batch, "line": rejected, "form": form}
    context["cut"] = len(rejected.text) >= TEXT_KEPT
    name = "_mend.html" if request.htmx else "mend.html"
    if not request.htmx:
        context["steps"] = dataset_steps(rejected.batch.dataset, here="A")
    return render(request, f"datasets_app/{name}", context, status=422 if form.errors else 200)


@require_POST
def run_reread(request: Request, pk: int, batch_pk: int):
    batch = access.batch(request.user, pk, batch_pk)
    form = forms.RereadForm(request.POST)
    try:
        if not form.is_valid():
            raise Refused("Choose a format from the list.")
        mending.reread(batch, form.cleaned_data["format"], by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("datasets:rejected", pk, batch_pk)


@require_GET
def reread_work(request: Request, pk: int, batch_pk: int):
    batch = access.batch(request.user, pk, batch_pk)
    panel = panels.reread_panel(batch)
    return work_region(request, "datasets_app/_reread_work.html", panel, page=panel.page)
