"""Lambda functions that really run: the zip, unpacked, in a process of its own that stays warm as AWS's does."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import Any

#: What the process runs: one event a line in, one line out with the result or the error, and what was printed.
_BOOT = """
import contextlib, importlib, io, json, os, sys
sys.path.insert(0, sys.argv[1])
for extra in sys.argv[3:]:
    sys.path.append(extra)
answers, sys.stdin = os.fdopen(os.dup(1), "w"), sys.stdin
module, _, name = sys.argv[2].rpartition(".")
printed = io.StringIO()
failure = None
with contextlib.redirect_stdout(printed):
    try:
        handler = getattr(importlib.import_module(module), name)
    except Exception as error:
        failure = error
for line in sys.stdin:
    answer = {}
    with contextlib.redirect_stdout(printed):
        try:
            if failure is not None:
                raise failure
            answer["result"] = json.loads(json.dumps(handler(json.loads(line), None), allow_nan=False))
        except Exception as error:
            answer["error"] = {"errorMessage": str(error), "errorType": type(error).__name__}
    answer["log"] = printed.getvalue().splitlines()
    printed.seek(0)
    printed.truncate()
    answers.write(json.dumps(answer) + "\\n")
    answers.flush()
"""


class Run:
    """What came of one invocation. ``error``: as Lambda writes it, or None."""

    def __init__(self, result: Any, error: dict[str, str] | None, log: list[str]) -> None:
        self.result = result
        self.error = error
        self.log = log


class LambdaProcess:
    """One version of a function. ``environment`` is all it gets; boto3 is this machine's, as AWS brings one along."""

    def __init__(self, content: bytes, handler: str, environment: dict[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lambda-")
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            packed.extractall(self._folder.name)
        self._handler = handler
        self._environment = environment
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def invoke(self, event: Any, timeout: float) -> Run:
        with self._lock:
            process = self._running()
            ended = threading.Event()
            watch = threading.Timer(timeout, lambda: (ended.set(), process.kill()))
            watch.start()
            try:
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write(json.dumps(event) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except OSError:
                line = ""
            finally:
                watch.cancel()
            if not line:
                self._end()
                if ended.is_set():
                    said = f"Task timed out after {timeout:.2f} seconds"
                    return Run(None, {"errorMessage": said, "errorType": "Sandbox.Timedout"}, [])
                return Run(None, {"errorMessage": "Runtime exited", "errorType": "Runtime.ExitError"}, [])
        answer = json.loads(line)
        return Run(answer.get("result"), answer.get("error"), answer["log"])

    def close(self) -> None:
        self._end()
        self._folder.cleanup()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            libraries = [str(Path(sys.modules["boto3"].__file__ or "").parent.parent)] if "boto3" in sys.modules else []
            asks = "score_model" in (Path(self._folder.name) / "grader.json").read_text(encoding="utf-8")
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    "-c",
                    _BOOT,
                    self._folder.name,
                    self._handler,
                    *(libraries if asks else []),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=self._environment,
            )
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None
