from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from datasets_app import access, forms, panels, previewing, services, staging
from datasets_app.actions import last_runs
from datasets_app.core.hygiene import HygieneReport
from datasets_app.facts import dataset_facts
from datasets_app.models import Dataset, ImportBatch
from datasets_app.strip import dataset_steps
from rft_project.connections.access import home_workspace
from rft_project.web.http import Request


@require_GET
def datasets(request: Request):
    found = Dataset.objects.of(request.user)
    return render(request, "datasets_app/datasets.html", {"rows": panels.dataset_rows(found)})


@require_http_methods(["GET", "POST"])
def new_dataset(request: Request):
    form = forms.NewDatasetForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            batch = staging.create_with_file(home_workspace(request.user), **form.cleaned_data, by=request.user)
        except services.Refused as refused:
            form.add_error(refused.field, str(refused))
        else:
            return redirect("datasets:review_import", batch.dataset_id, batch.pk)
    status = 422 if form.errors else 200
    context = {"form": form, "unfinished": staging.unfinished(request.user, None)}
    return render(request, "datasets_app/new_dataset.html", context, status=status)


@require_GET
def dataset(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    facts, runs = dataset_facts(dataset), last_runs(dataset)
    context = {
        "dataset": dataset,
        "steps": dataset_steps(dataset, facts=facts),
        "summary": panels.summary_panel(dataset, facts, runs),
        "coverage": panels.coverage_panel(dataset, facts),
        "readiness": panels.readiness_panel(dataset, facts),
        "actions": panels.actions_panel(dataset, facts, runs),
        "newest": panels.newest_panel(dataset, facts.total),
    }
    return render(request, "datasets_app/dataset.html", context)


@require_http_methods(["GET", "POST"])
def import_page(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    form = forms.SourceForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            batch = staging.stage(dataset, form.cleaned_data["file"], form.cleaned_data["pasted"], by=request.user)
        except services.Refused as refused:
            form.add_error(refused.field, str(refused))
        else:
            return redirect("datasets:review_import", dataset.pk, batch.pk)
    context = {"dataset": dataset, "form": form, "steps": dataset_steps(dataset, here="A")}
    context |= {
        "batches": dataset.batches.exclude(job=None, finished_at=None)[:20],
        "waiting": staging.waiting(dataset),
        "unfinished": staging.unfinished(request.user, dataset),
    }
    return render(request, "datasets_app/import.html", context, status=422 if form.errors else 200)


@require_GET
def review_import(request: Request, pk: int, batch_pk: int):
    batch = access.batch(request.user, pk, batch_pk)
    panel = previewing.preview_panel(batch, request.GET) if batch.waits else None
    return render(request, "datasets_app/review_import.html", review_context(batch, panel))


def review_context(batch: ImportBatch, preview: previewing.PreviewPanel | None) -> dict[str, object]:
    return {
        "dataset": batch.dataset,
        "batch": batch,
        "preview": preview,
        "panel": panels.import_panel(batch),
        "steps": dataset_steps(batch.dataset, here="A"),
    }


@require_GET
def report(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    form = forms.SanitizeForm.of(dataset.sanitizing)
    return render(request, "datasets_app/report.html", report_context(dataset, form, request.GET.dict()))


def report_context(dataset: Dataset, form: forms.SanitizeForm, query: dict[str, str]) -> dict[str, object]:
    return {
        "dataset": dataset,
        "panel": panels.report_panel(dataset, query),
        "work": panels.sanitize_work_panel(dataset),
        "form": form,
        "suggested": panels.suggested_fields(dataset),
        "steps": dataset_steps(dataset, here="A"),
    }


@require_GET
def download_report(request: Request, pk: int, form: str):
    dataset = access.dataset(request.user, pk)
    run = panels.report_of_run(dataset, request.GET.get("run", ""))
    if run is None or form not in ("json", "csv"):
        raise Http404
    report = HygieneReport.model_validate(run)
    text = report.model_dump_json(indent=2) if form == "json" else report.as_csv()
    headers = {"Content-Disposition": f'attachment; filename="sanitize-report.{form}"'}
    return HttpResponse(text, content_type={"json": "application/json", "csv": "text/csv"}[form], headers=headers)


@require_GET
def coverage_page(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    return render(request, "datasets_app/coverage.html", coverage_context(dataset, request.GET.dict()))


def coverage_context(
    dataset: Dataset, query: dict[str, str], typed: dict[str, str] | None = None, wrong: str = ""
) -> dict[str, object]:
    panel = panels.coverage_page_panel(dataset, query, typed=typed, wrong=wrong)
    return {"dataset": dataset, "panel": panel, "steps": dataset_steps(dataset, here="D", facts=panel.facts)}
