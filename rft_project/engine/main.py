"""Starts the engine: ``python -m rft_project.engine --port 8765``, or ``serve`` from a program."""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import uvicorn

from rft_project.engine.http import is_loopback
from rft_project.engine.inference import Inference
from rft_project.engine.models import NoSuchModel, available, base_model
from rft_project.engine.server import application
from rft_project.engine.store import Store
from rft_project.engine.supervisor import Supervisor

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765


class EngineError(RuntimeError):
    """The engine can't start; the text is a sentence for people."""


def serve(
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    *,
    data_dir: Path,
    api_key: str = "",
    device: str = "auto",
    preload: str = "",
) -> None:
    """Serves until SIGTERM or Ctrl-C. Jobs that ran when the last engine on ``data_dir`` ended go on.

    ``preload``: a base model to load before the first request needs it. ``device``: "auto" or "cpu", which are the
    same: the engine computes on the processor. Raises EngineError.
    """
    if not api_key and not is_loopback(host):
        raise EngineError(f"To listen on {host}, set ENGINE_KEY: without a key the engine serves its own machine only.")
    if device not in ("auto", "cpu"):
        raise EngineError(f"The engine computes on the processor: device can be auto or cpu, not “{device}”.")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    _check_address(host, port)
    directory = data_dir / "engine"
    # Customer text lies below.
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Held until this process ends, however it ends.
    with (directory / "lock").open("w") as lock:
        _take(lock, directory)
        store = Store(directory)
        inference = Inference(store, directory / "models")
        if preload:
            _preload(inference, preload)
        if threading.current_thread() is threading.main_thread():
            # The server raises the signal again when it has shut down: that is a clean end.
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        app = application(store, inference, Supervisor(store), api_key)
        uvicorn.run(
            app,
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )


def _check_address(host: str, port: int) -> None:
    """Before a model is loaded and a job goes on. The server binds again later, so this only finds it sooner."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise EngineError(f"Port {port} on {host} can't be used: {error.strerror or error}.") from None


def _preload(inference: Inference, model: str) -> None:
    try:
        base_model(model)
    except NoSuchModel as error:
        raise EngineError(str(error)) from None
    inference.preload(model)


def _take(lock: IO[str], directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise EngineError(
            f"Another engine already works in {directory}: end it, or give another data folder."
        ) from None


def run(arguments: Sequence[str] | None = None) -> int:
    """The command line. 0 when stopped, 2 where it can't start."""
    parser = argparse.ArgumentParser(prog="engine", description="The local RL engine of RFT Studio.")
    parser.add_argument("--host", default=DEFAULT_HOST)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("DATA_DIR", "data")))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--preload", default="", metavar="MODEL", help="load this model at once")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger(__name__).info(
        "Engine on http://%s:%d/v1 with %s", chosen.host, chosen.port, ", ".join(model.id for model in available())
    )
    try:
        serve(
            chosen.host,
            chosen.port,
            data_dir=chosen.data_dir,
            api_key=os.environ.get("ENGINE_KEY", ""),
            device=chosen.device,
            preload=chosen.preload,
        )
    except EngineError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0
