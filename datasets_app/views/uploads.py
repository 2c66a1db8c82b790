"""Files that a browser sends in parts; the answers are JSON for static/js/upload.js."""

from __future__ import annotations

from django.contrib import messages
from django.http import JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from datasets_app import access, forms, staging
from datasets_app.models import Dataset, Upload
from datasets_app.services import Refused
from rft_project.connections.access import home_workspace
from rft_project.connections.models import Workspace
from rft_project.web.http import Request

STATUS = {"torn": 400, "disk": 507}


def as_it_stands(upload: Upload, status: int = 200) -> JsonResponse:
    """How far the file is safe, and once it is all here where to go on."""
    state = {
        "url": reverse("datasets:send_chunk", args=[upload.pk]),
        "offset": upload.received,
        "chunk": staging.CHUNK,
        "done": "",
    }
    if upload.batch is not None:
        pk = upload.batch.dataset_id
        state |= {
            "done": reverse("datasets:review_import", args=[pk, upload.batch.pk]),
            "list": reverse("datasets:import_page", args=[pk]),
            "into": reverse("datasets:upload", args=[pk]),
        }
    return JsonResponse(state, status=status)


def refused(sentence: str, status: int = 422) -> JsonResponse:
    return JsonResponse({"error": sentence}, status=status)


def _begin(request: Request, workspace: Workspace, dataset: Dataset | None) -> JsonResponse:
    form = forms.UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return refused(" ".join(str(sentence) for errors in form.errors.values() for sentence in errors))
    name = form.cleaned_data["name"]
    if dataset is None and not name:
        return refused("Give the dataset a name first.")
    try:
        return as_it_stands(staging.begin(workspace, dataset, name, form.offered(), by=request.user))
    except Refused as error:
        return refused(str(error))


@require_POST
def upload(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    return _begin(request, dataset.workspace, dataset)


@require_POST
def upload_new(request: Request):
    """The file makes a dataset of its own."""
    return _begin(request, home_workspace(request.user), None)


@require_POST
def send_chunk(request: Request, upload_pk: int):
    upload = access.upload(request.user, upload_pk)
    offset, length = request.GET.get("offset", ""), request.headers.get("Content-Length", "")
    if not (offset.isdecimal() and length.isdecimal() and len(offset) < 19 and len(length) < 19):
        return refused("The part of the file says neither where it belongs nor how long it is; reload the page.", 400)
    try:
        return as_it_stands(staging.receive(upload, int(offset), int(length), request))
    except staging.NotHere as elsewhere:
        return as_it_stands(elsewhere.upload, 409)
    except Refused as error:
        return refused(str(error), STATUS.get(error.field or "", 422))


@require_POST
def discard_upload(request: Request, upload_pk: int):
    upload = access.upload(request.user, upload_pk)
    staging.discard(upload)
    messages.success(request, f"{upload.filename} was not kept.")
    return redirect("datasets:import_page", upload.dataset_id) if upload.dataset else redirect("datasets:new_dataset")


@require_POST
def discard_file(request: Request, pk: int, batch_pk: int):
    batch = access.batch(request.user, pk, batch_pk)
    try:
        staging.discard_batch(batch)
        messages.success(request, f"{batch.filename} was discarded; nothing of it was stored.")
    except Refused as error:
        messages.error(request, str(error))
    return redirect("datasets:import_page", pk)
