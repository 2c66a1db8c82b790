"""``/v1/files`` and ``/v1/fine_tuning/jobs``. Plain functions run in a thread of the pool."""

from __future__ import annotations

import re
import shutil

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from rft_project.engine.http import MOST_FILE_BYTES, json_body, page_arguments
from rft_project.engine.records import CANCELLED, FileRecord, Job
from rft_project.engine.store import Store
from rft_project.engine.validation import new_job
from rft_project.engine.wire import ApiError, checkpoint_json, event_json, file_json, job_json, page

_METADATA = re.compile(r"metadata\[(.{1,64})\]\Z")
_NAME = re.compile(r"[\x00-\x1f/\\]")


def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


# Files


async def create_file(request: Request) -> Response:
    async with request.form(max_files=1, max_fields=10) as form:
        upload, purpose = form.get("file"), form.get("purpose")
        if not isinstance(upload, UploadFile):
            raise ApiError(400, "The request needs a file.", code="invalid_value", param="file")
        if purpose != "fine-tune":
            raise ApiError(400, "The purpose must be “fine-tune”.", code="invalid_value", param="purpose")
        record = await run_in_threadpool(_keep, _store(request), upload)
    return JSONResponse(file_json(record))


def _keep(store: Store, upload: UploadFile) -> FileRecord:
    unfinished = store.upload_path()
    try:
        with unfinished.open("wb") as target:
            shutil.copyfileobj(upload.file, target, 1024 * 1024)
        size = unfinished.stat().st_size
        if size == 0:
            raise ApiError(400, "The file is empty.", code="invalid_file", param="file")
        if size > MOST_FILE_BYTES:
            raise ApiError(413, f"The file is larger than {MOST_FILE_BYTES // 1024 // 1024} MB.", code="invalid_file")
        name = _NAME.sub("_", upload.filename or "upload.jsonl")[-200:]
        return store.add_file(unfinished, name, "fine-tune")
    finally:
        unfinished.unlink(missing_ok=True)


def list_files(request: Request) -> Response:
    after, limit = page_arguments(request, default=10_000, most=10_000)
    files = [file_json(f) for f in _store(request).files()]
    purpose = request.query_params.get("purpose")
    files = [f for f in files if purpose in (None, f["purpose"])]
    if after is not None:
        ids = [f["id"] for f in files]
        files = files[ids.index(after) + 1 :] if after in ids else []
    return JSONResponse(page(files[:limit], more=len(files) > limit))


def get_file(request: Request) -> Response:
    return JSONResponse(file_json(_file(request)))


def file_content(request: Request) -> Response:
    file = _file(request)
    return FileResponse(
        _store(request).file_path(file.id), media_type="application/octet-stream", filename=file.filename
    )


def delete_file(request: Request) -> Response:
    file = _file(request)
    if _store(request).file_in_use(file.id):
        raise ApiError(409, "A training job that is not finished needs this file: cancel the job first.", code="in_use")
    _store(request).delete_file(file.id)
    return JSONResponse({"id": file.id, "object": "file", "deleted": True})


def _file(request: Request) -> FileRecord:
    found = _store(request).file(request.path_params["id"])
    if found is None:
        raise ApiError(404, f"There is no file “{request.path_params['id'][:100]}”.", code="not_found", param="id")
    return found


# Jobs


async def create_job(request: Request) -> Response:
    body = await json_body(request)
    return await run_in_threadpool(_create, request, body)


def _create(request: Request, body: dict[str, object]) -> Response:
    job, created = _store(request).create_job(new_job(_store(request), body))
    if created:
        request.app.state.supervisor.wake()
    return JSONResponse(job_json(job))


def list_jobs(request: Request) -> Response:
    after, limit = page_arguments(request, default=20, most=100)
    wanted = {m[1]: value for name, value in request.query_params.items() if (m := _METADATA.match(name))}
    jobs, more = _store(request).jobs(after, limit, wanted)
    return JSONResponse(page([job_json(job) for job in jobs], more=more))


def get_job(request: Request) -> Response:
    return JSONResponse(job_json(_job(request)))


def cancel_job(request: Request) -> Response:
    """The checkpoints made so far stay usable."""
    store, job = _store(request), _job(request)
    if not store.finish(job.id, CANCELLED):
        raise ApiError(400, f"The job has already {_ended(_job(request))}.", code="invalid_state")
    request.app.state.supervisor.wake()
    return get_job(request)


def list_events(request: Request) -> Response:
    """Newest first, as OpenAI sends them."""
    after, limit = page_arguments(request, default=20, most=1000)
    events, more = _store(request).events(_job(request).id, after, limit)
    return JSONResponse(page([event_json(event) for event in events], more=more))


def list_checkpoints(request: Request) -> Response:
    after, limit = page_arguments(request, default=10, most=100)
    found = [checkpoint_json(c) for c in _store(request).checkpoints(_job(request).id)]
    if after is not None:
        ids = [c["id"] for c in found]
        found = found[ids.index(after) + 1 :] if after in ids else []
    return JSONResponse(page(found[:limit], more=len(found) > limit))


def _job(request: Request) -> Job:
    found = _store(request).job(request.path_params["id"])
    if found is None:
        raise ApiError(404, f"There is no job “{request.path_params['id'][:100]}”.", code="not_found", param="id")
    return found


def _ended(job: Job) -> str:
    return {"cancelled": "been cancelled"}.get(job.status, job.status)
