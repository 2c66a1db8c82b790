from __future__ import annotations

import json
from pathlib import Path

from django.contrib import messages
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from datasets_app import access, panels, services
from datasets_app import exports as domain
from datasets_app.strip import dataset_steps
from rft_project.jobs.services import request_cancel, retry
from rft_project.web.http import Request
from rft_project.web.regions import work_region


@require_http_methods(["GET", "POST"])
def exports(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    panel = panels.exports_panel(dataset, request.POST if request.method == "POST" else None, request.GET)
    if request.method == "POST" and panel.form.is_valid():
        try:
            export = domain.start_chosen(dataset, panel.form.to_params(), by=request.user)
        except services.Refused as refused:
            panel.form.add_error(refused.field, str(refused))
        else:
            return redirect(export)
    context = {"dataset": dataset, "panel": panel, "steps": dataset_steps(dataset)}
    return render(request, "datasets_app/exports.html", context, status=422 if panel.form.errors else 200)


@require_GET
def export(request: Request, pk: int, export_pk: int):
    export = access.export(request.user, pk, export_pk)
    context = {"dataset": export.dataset, "export": export, "panel": panels.export_panel(export)}
    context["steps"] = dataset_steps(export.dataset)
    return render(request, "datasets_app/export.html", context)


@require_GET
def export_work(request: Request, pk: int, export_pk: int):
    panel = panels.export_panel(access.export(request.user, pk, export_pk))
    return work_region(request, "datasets_app/_export_work.html", panel, page=panel.page)


@require_GET
def download_export(request: Request, pk: int, export_pk: int, what: str):
    export = access.export(request.user, pk, export_pk)
    name = domain.download_name(export)
    if what == "manifest" and export.manifest:
        answer = HttpResponse(json.dumps(export.manifest, indent=2), content_type="application/json")
        answer["Content-Disposition"] = f'attachment; filename="{name}.manifest.json"'
        return answer
    if what == "file" and export.finished_at is not None:
        domain.audit("download export", export, request.user)
        return _sent(
            domain.file_of(export), name, "application/gzip" if name.endswith(".gz") else export.kind.media_type
        )
    if what == "left_out":
        return _sent(domain.left_out_of(export), f"{name}.left-out.jsonl", "application/jsonl")
    raise Http404


def _sent(path: Path, name: str, media_type: str) -> FileResponse:
    """The file in chunks; 404 where it is gone."""
    if not path.is_file():
        raise Http404
    return FileResponse(path.open("rb"), as_attachment=True, filename=name, content_type=media_type)


@require_POST
def run_export(request: Request, pk: int, export_pk: int):
    """One that failed or was stopped goes on from where it was."""
    export = access.export(request.user, pk, export_pk)
    if export.job is not None and export.finished_at is None:
        retry(export.job)
    return redirect(export)


@require_POST
def stop_export(request: Request, pk: int, export_pk: int):
    export = access.export(request.user, pk, export_pk)
    if export.job is not None:
        request_cancel(export.job)
    return redirect(export)


@require_POST
def delete_export(request: Request, pk: int, export_pk: int):
    export = access.export(request.user, pk, export_pk)
    name = domain.download_name(export)
    domain.delete_export(export)
    messages.success(request, f"{name} is deleted.")
    return redirect("datasets:exports", pk)
