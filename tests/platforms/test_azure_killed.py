"""A process that is killed at any request of a start or a deployment leaves one job, one deployment, two uploads."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rft_project.platforms.azure_checks import deployment_name
from tests.emulators import azure
from tests.emulators.azure import AzureEmulator, Fault
from tests.emulators.policy import UNSURE, Policy
from tests.engine.process import EXACT
from tests.platforms.contract import prompted

ROOT = Path(__file__).resolve().parent.parent.parent
TUNED = f"{azure.TRAINABLE}.ft-{'0a' * 16}-triage"
#: Reads what to do from its input and does it, as a worker would.
WORKER = """
import json, sys
from rft_project.platforms import build
from rft_project.platforms.types import DeployRequest, TrainingRequest
given = json.load(sys.stdin)
platform = build("azure", given["credentials"])
if "train" in given:
    print(platform.start_training(TrainingRequest(**given["train"])).id)
else:
    print(platform.deploy(DeployRequest(**given["deploy"])).id)
"""
TRAIN = {
    "train": {
        "key": "k-1",
        "model": azure.TRAINABLE,
        "train_rows": prompted(0, 4),
        "valid_rows": [{**row, "note": "held out"} for row in prompted(0, 4)],
        "grader": EXACT,
    }
}
DEPLOY = {"deploy": {"key": "k-1", "model": TUNED, "name": "Triage", "base": azure.TRAINABLE}}


def worker(emulator: AzureEmulator, task: dict) -> subprocess.Popen[str]:
    environment = {**os.environ, **emulator.environment}
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"credentials": emulator.credentials, **task}))
    process.stdin.close()
    return process


def finished(emulator: AzureEmulator, task: dict) -> str:
    """What a worker that lives made."""
    process = worker(emulator, task)
    assert process.stdout is not None
    made = process.stdout.read().strip()
    assert process.wait(60) == 0
    return made


def killed(emulator: AzureEmulator, task: dict, fault: Fault) -> None:
    """Kill a worker while it waits for the answer to the request the fault holds back; its work is done."""
    emulator.faults = [fault]
    process = worker(emulator, task)
    deadline = time.monotonic() + 60
    while emulator.faults and time.monotonic() < deadline:
        time.sleep(0.01)
    assert emulator.faults == []
    time.sleep(0.15)
    assert process.poll() is None
    process.kill()
    process.wait(10)


def points(requests: list[tuple[str, str]]) -> list[Fault]:
    """A fault for each request of a run that went well; ids, which differ the next time, are left out of the paths."""
    asked = [(method, re.sub(r"file-\w+$", "file-", path)) for method, path in requests]
    return [
        Fault(method, path, "hang", seconds=3.0, skip=sum(m == method and p.startswith(path) for m, p in asked[:index]))
        for index, (method, path) in enumerate(asked)
    ]


@pytest.mark.slow
def test_a_start_that_is_killed_anywhere_makes_one_job() -> None:
    with azure.running() as emulator:
        finished(emulator, TRAIN)
        everywhere = points(emulator.requests)
    assert len(everywhere) >= 7
    for fault in everywhere:
        with azure.running() as emulator:
            killed(emulator, TRAIN, fault)
            assert finished(emulator, TRAIN) == next(iter(emulator.jobs)), fault
            assert (len(emulator.jobs), emulator.count("POST", "/openai/v1/files")) == (1, 2), fault


@pytest.mark.slow
def test_a_deployment_that_is_killed_anywhere_is_made_once() -> None:
    def with_model() -> AzureEmulator:
        emulator = azure.AzureEmulator()
        emulator.models[TUNED] = ({"id": TUNED, "object": "model"}, Policy([UNSURE]))
        return emulator

    with azure.started(with_model()) as emulator:
        finished(emulator, DEPLOY)
        everywhere = points(emulator.requests)
    assert [(fault.method, fault.path.split("/")[1]) for fault in everywhere] == [
        ("GET", "msi"),
        ("GET", "subscriptions"),
        ("PUT", "subscriptions"),
    ]
    for fault in everywhere:
        with azure.started(with_model()) as emulator:
            killed(emulator, DEPLOY, fault)
            name = finished(emulator, DEPLOY)
            assert name == deployment_name("Triage", "k-1")
            assert emulator.arm.made == [name], fault
