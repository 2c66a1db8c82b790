from __future__ import annotations

from django.urls import reverse
from django.views.decorators.http import require_GET
from django_htmx.http import HttpResponseClientRefresh

from datasets_app import access, panels, previewing
from rft_project.web.http import Request
from rft_project.web.regions import SeeOther, region, work_region


@require_GET
def summary(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    context = {"panel": panels.summary_panel(dataset)}
    return region(request, "datasets_app/_summary.html", context, page=dataset.get_absolute_url())


@require_GET
def coverage(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    context = {"panel": panels.coverage_panel(dataset)}
    return region(request, "datasets_app/_coverage.html", context, page=dataset.get_absolute_url())


@require_GET
def readiness(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    context = {"panel": panels.readiness_panel(dataset)}
    return region(request, "datasets_app/_readiness.html", context, page=dataset.get_absolute_url())


@require_GET
def actions(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    panel = panels.actions_panel(dataset)
    trigger = None if panel.is_live else "dataset-changed"
    return region(
        request,
        "datasets_app/_actions.html",
        {"panel": panel},
        version=panel.version,
        trigger=trigger,
        page=dataset.get_absolute_url(),
    )


@require_GET
def sanitize_work(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    panel = panels.sanitize_work_panel(dataset)
    return work_region(request, "datasets_app/_sanitize_work.html", panel, page=panel.page)


@require_GET
def topic_work(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    panel = panels.topic_work_panel(dataset)
    return work_region(request, "datasets_app/_topic_work.html", panel, page=panel.page)


@require_GET
def import_work(request: Request, pk: int, batch_pk: int):
    batch = access.batch(request.user, pk, batch_pk)
    panel = panels.import_panel(batch)
    return work_region(request, "datasets_app/_import_work.html", panel, page=panel.page)


@require_GET
def preview(request: Request, pk: int, batch_pk: int):
    """How the file would be read with the choices as they are; nothing is stored."""
    batch = access.batch(request.user, pk, batch_pk)
    page = reverse("datasets:review_import", args=[pk, batch_pk])
    if not batch.waits:  # somebody has started the import meanwhile
        return HttpResponseClientRefresh() if request.htmx else SeeOther(page)
    context = {"preview": previewing.preview_panel(batch, request.GET)}
    return region(request, "datasets_app/_preview.html", context, page=f"{page}?{request.GET.urlencode()}")


@require_GET
def bulk_work(request: Request, pk: int):
    panel = panels.bulk_work_panel(access.dataset(request.user, pk))
    return work_region(request, "datasets_app/_bulk_work.html", panel, page=panel.page)
