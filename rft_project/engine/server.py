"""The engine's HTTP surface: OpenAI's protocol for models, files, fine-tuning, chat and embeddings."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from rft_project.engine import chat_api, http, training_api
from rft_project.engine.inference import Inference
from rft_project.engine.store import Store
from rft_project.engine.supervisor import Supervisor
from rft_project.engine.wire import ApiError

_JOBS = "/v1/fine_tuning/jobs"

ROUTES = [
    Route(http.HEALTH_PATH, http.health),
    Route("/v1/models", chat_api.list_models),
    Route("/v1/models/{id:path}", chat_api.get_model),
    Route("/v1/chat/completions", chat_api.chat, methods=["POST"]),
    Route("/v1/embeddings", chat_api.embeddings, methods=["POST"]),
    Route(http.FILES_PATH, training_api.create_file, methods=["POST"]),
    Route(http.FILES_PATH, training_api.list_files),
    Route(http.FILES_PATH + "/{id}", training_api.get_file),
    Route(http.FILES_PATH + "/{id}", training_api.delete_file, methods=["DELETE"]),
    Route(http.FILES_PATH + "/{id}/content", training_api.file_content),
    Route(_JOBS, training_api.create_job, methods=["POST"]),
    Route(_JOBS, training_api.list_jobs),
    Route(_JOBS + "/{id}", training_api.get_job),
    Route(_JOBS + "/{id}/cancel", training_api.cancel_job, methods=["POST"]),
    Route(_JOBS + "/{id}/events", training_api.list_events),
    Route(_JOBS + "/{id}/checkpoints", training_api.list_checkpoints),
]


def application(store: Store, inference: Inference, supervisor: Supervisor, api_key: str) -> Starlette:
    """The app on these parts; it closes them when it shuts down. ``api_key`` '' means: this machine only."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        supervisor.close()
        inference.close()
        store.close()

    app = Starlette(
        routes=ROUTES,
        middleware=[Middleware(http.Gate, api_key=api_key)],
        exception_handlers={
            ApiError: http.api_error,
            HTTPException: http.http_error,
            Exception: http.server_error,
        },
        lifespan=lifespan,
    )
    app.state.store, app.state.inference, app.state.supervisor = store, inference, supervisor
    app.state.started_at = int(time.time())
    return app
