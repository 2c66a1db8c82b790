"""Open-weight models on Bedrock against a strict loopback emulator: the contract, and what only this platform does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pytest

from graders_app.core.compiling import lambda_zip
from rft_project.platforms import NotSupported, Platform, PlatformError, Unknown, build
from rft_project.platforms.types import DeployRequest, Handle
from tests.emulators import mantle
from tests.emulators.mantle import Fault, MantleEmulator
from tests.engine.process import EXACT
from tests.platforms.contract import MULTI, PlatformContract, prompted

JOBS, FILES = "/fine_tuning/jobs", "/files"
PYTHON = {"type": "python", "name": "p", "source": "def grade(sample, item):\n    raise ValueError('broken')\n"}


@lru_cache
def packed(document: str) -> bytes:
    return lambda_zip(json.loads(document))


@pytest.fixture(scope="module")
def running() -> Iterator[MantleEmulator]:
    with mantle.running(step_seconds=0.005) as started:
        yield started


@pytest.fixture
def emulator(running: MantleEmulator) -> MantleEmulator:
    """The module's emulator without what earlier tests left of requests and faults."""
    running.faults.clear()
    running.requests.clear()
    running.problems.clear()
    running.needed.clear()
    running.aws.needed.clear()
    running.list_lag = 0
    return running


class TestBedrockOpenAI(PlatformContract):
    kind = "bedrock_openai"
    model = mantle.TRAINABLE
    base = mantle.TRAINABLE
    short = {"n_epochs": 4, "batch_size": 12, "learning_rate_multiplier": 0.5}
    long = {"n_epochs": 200, "batch_size": 4}
    embeds = False
    curve = frozenset({"train_reward", "answer_tokens", "entropy"})
    checkpoint_curve = frozenset({"train_reward"})
    beside = "observed-"

    @pytest.fixture
    def credentials(self, emulator: MantleEmulator) -> dict[str, Any]:
        return emulator.credentials

    def train_rows(self) -> list[dict[str, Any]]:
        """No fewer than a hundred are taken."""
        return prompted(0, 4) * 9

    def package(self, grader: dict[str, Any]) -> bytes:
        return packed(json.dumps(grader)) if "operation" in grader or "graders" in grader else b""

    def first_and_last(self, series: dict[str, list[float]]) -> tuple[float, float]:
        return series["train_reward"][0], series["train_reward"][-1]

    # What is documented goes out, and nothing else

    def test_the_job_goes_out_as_documented(self, platform, emulator, request_for) -> None:
        handle = platform.start_training(request_for(hyperparameters={"n_epochs": 1, "learning_rate_multiplier": 0.5}))
        job = emulator.jobs[handle.id]
        function = job["method"]["reinforcement"]["grader"]["lambda"]["function"]
        assert function.startswith("arn:aws:lambda:us-west-2:123456789012:function:rft-")
        assert function.endswith(":1")
        told = platform.training(handle).raw["method"]["reinforcement"]["grader"]  # a string check, to the SDK's types
        assert told == {"type": "lambda", "lambda": {"function": function}}
        assert job["method"]["reinforcement"]["hyperparameters"] == {"n_epochs": 1, "learning_rate_multiplier": 0.5}
        first = json.loads(emulator.files[job["training_file"]][1].splitlines()[0])
        assert (first["id"], first["messages"][0]["role"]) == ("train-1", "system")
        assert emulator.problems == []

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"train_rows": prompted(0, 4)}, "gpt-oss-20b is trained with 100 to 20,000 rows; there are 12."),
            ({"model": "qwen.qwen3-8b"}, "Amazon Bedrock, open-weight models can't train qwen.qwen3-8b."),
            ({"grader_package": b""}, "Bedrock needs the grader as a Lambda function, and there is none."),
            ({"hyperparameters": {"batch_size": 0}}, "batch_size is out of its range: at least 1."),
            (
                {"response_format": {"type": "json_object"}},
                "Bedrock takes no answer format for training; say it in the prompts instead.",
            ),
        ],
    )
    def test_what_would_be_refused_is_refused_before_anything_is_sent(
        self, platform, emulator, request_for, changes, sentence
    ) -> None:
        files = len(emulator.files)
        with pytest.raises(PlatformError) as refusal:
            platform.start_training(request_for(**changes))
        assert str(refusal.value) == sentence
        assert not isinstance(refusal.value, Unknown)
        assert len(emulator.files) == files
        assert emulator.problems == []

    def test_a_grader_that_fails_is_found_out_before_any_row_is_sent(self, platform, emulator, request_for) -> None:
        files = len(emulator.files)
        with pytest.raises(PlatformError, match="The grader failed on 10 of 10 rows it was tried with"):
            platform.start_training(request_for(grader=PYTHON, grader_package=lambda_zip(PYTHON)))
        assert len(emulator.files) == files

    def test_a_connection_to_another_region_trains_nothing(self, credentials, request_for) -> None:
        platform = build(self.kind, {**credentials, "region": "us-east-1"})
        found = platform.capabilities()
        assert (found.train, found.models) == (False, [])
        assert found.notice == "Nothing can be trained in us-east-1: use a connection to us-west-2."
        with pytest.raises(PlatformError, match="gpt-oss-20b is trained in us-west-2 only"):
            platform.start_training(request_for())

    def test_without_a_grader_role_models_answer_and_train_nothing(self, credentials, request_for) -> None:
        platform = build(self.kind, {**credentials, "grader_role_arn": ""})
        assert platform.capabilities().notice == "To train, this connection still needs a grader role."
        assert platform.sample(self.ask(self.base, "x")).answers
        with pytest.raises(PlatformError, match="still needs a grader role"):
            platform.start_training(request_for())

    def test_the_address_is_the_regions_own_and_ends_in_v1(self, credentials) -> None:
        platform: Any = build(self.kind, {**credentials, "base_url": ""})
        assert str(platform._client.base_url) == "https://bedrock-mantle.us-west-2.api.aws/v1/"

    def test_what_is_not_there_says_so(self, platform: Platform) -> None:
        for call in (
            lambda: platform.embed(["x"]),
            lambda: platform.pause_training(Handle(id="x")),
            lambda: platform.promote(Handle(id="x"), "y"),
        ):
            with pytest.raises(NotSupported):
                call()

    # Paid work is started once

    @pytest.mark.parametrize("path", [JOBS, FILES])
    @pytest.mark.parametrize("kind", ["500-after", "drop-after", "broken-json"])
    def test_a_start_that_ends_unclearly_makes_one_job_and_one_file(
        self, platform, emulator, request_for, kind, path
    ) -> None:
        jobs, files = len(emulator.jobs), len(emulator.files)
        emulator.faults = [Fault("POST", path, kind)]
        request = request_for()
        handle = platform.start_training(request)
        assert platform.start_training(request) == handle
        assert (len(emulator.jobs), len(emulator.files)) == (jobs + 1, files + 1)

    def test_a_job_is_found_by_its_file_though_the_list_lags(self, platform, emulator, request_for) -> None:
        emulator.list_lag = 2
        emulator.faults = [Fault("POST", JOBS, "500-after")]
        request, jobs = request_for(), len(emulator.jobs)
        with pytest.raises(Unknown):
            platform.start_training(request)
        emulator.list_lag = 0
        platform.find_training(request.key)
        assert platform.find_training(request.key) == platform.start_training(request)
        assert len(emulator.jobs) == jobs + 1

    def test_the_printed_policies_are_enough_and_nothing_more(self, platform, emulator, request_for) -> None:
        request = request_for()
        platform.check()
        handle = platform.start_training(request)
        model = self.finished(platform, handle).model
        platform.events(handle)
        platform.checkpoints(handle)
        platform.deploy(DeployRequest(key="d", model=model))
        platform.sample(self.ask(model, "x"))
        platform.clean_up(request.key)
        with pytest.raises(PlatformError):
            platform.cancel_training(Handle(id="ftjob-none"))
        allowed = {action for statement in emulator.policy["Statement"] for action in statement["Action"]}
        unproven = {"bedrock-mantle:GetCustomizedModel"}
        assert emulator.needed == allowed - unproven
        published = emulator.aws.policies[emulator.aws.key]
        allowed = {action for statement in published["Statement"] for action in statement["Action"]}
        assert emulator.aws.needed[emulator.aws.key] == allowed - {"lambda:PublishVersion", "lambda:UpdateFunctionCode"}

    def test_the_graders_own_log_tells_the_reward_of_each_part(self, platform, emulator, request_for) -> None:
        handle = platform.start_training(request_for(grader=MULTI))
        self.finished(platform, handle)
        events = platform.events(handle).events
        observed = [event for event in events if event.id.startswith("observed-")]
        assert all(
            set(event.metrics) == {"observed_reward", "observed_reward:exact", "observed_reward:near", "errors"}
            for event in observed
        )
        curve = [event.metrics["observed_reward"] for event in observed]
        assert curve[-1] > curve[0]
        assert {"train_reward", "answer_tokens", "entropy"} in [set(e.metrics) for e in events if e not in observed]

    def test_a_log_that_may_not_be_read_is_said_once_and_training_goes_on(
        self, platform, emulator, request_for, monkeypatch
    ) -> None:
        handle = platform.start_training(request_for())
        self.finished(platform, handle)
        allowed = emulator.aws.policies[emulator.aws.key]
        denied = [one for one in allowed["Statement"] if one["Action"] != ["logs:FilterLogEvents"]]
        assert len(denied) == len(allowed["Statement"]) - 1
        monkeypatch.setitem(emulator.aws.policies, emulator.aws.key, {**allowed, "Statement": denied})
        page = platform.events(handle)
        said = [event for event in page.events if event.level == "warn"]
        assert [event.id for event in said] == ["observed-refused"]
        assert said[0].message.startswith("The grader's own log can't be read, so the rewards it gave are not shown")
        assert any("train_reward" in event.metrics for event in page.events)
        again = platform.events(handle, page.cursor)
        assert (again.events, again.cursor) == ([], page.cursor)
        monkeypatch.setitem(emulator.aws.policies, emulator.aws.key, allowed)
        later = platform.events(handle, page.cursor)
        assert {event.step for event in later.events} == set(range(1, len(later.events) + 1))

    def test_a_missing_right_of_the_keys_owner_is_said(self, platform, emulator, request_for, monkeypatch) -> None:
        only = {"Effect": "Allow", "Action": ["bedrock-mantle:CallWithBearerToken"], "Resource": "*"}
        monkeypatch.setattr(emulator, "policy", {"Statement": [only]})
        with pytest.raises(PlatformError) as denied:
            platform.start_training(request_for())
        assert str(denied.value).endswith("is not authorized to perform: bedrock-mantle:ListFiles.")
        assert not isinstance(denied.value, Unknown)

    def test_cleaning_up_takes_function_and_file(self, platform, emulator, request_for) -> None:
        request = request_for()
        handle = platform.start_training(request)
        with pytest.raises(PlatformError, match="still at work"):
            platform.clean_up(request.key)
        self.finished(platform, handle)
        deleted = platform.clean_up(request.key)
        assert deleted[0] == "the grader's function"
        assert deleted[1].endswith(".jsonl")
        assert platform.clean_up(request.key) == []


# The emulator is as strict as what is documented


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"suffix": "x"}, "Unknown parameter: 'suffix'."),
        ({"metadata": {"a": "b"}}, "Unknown parameter: 'metadata'."),
        ({"seed": 1}, "Unknown parameter: 'seed'."),
        ({"validation_file": "file-x"}, "Unknown parameter: 'validation_file'."),
        ({"model": "openai.gpt-oss-120b"}, "Model openai.gpt-oss-120b is not available for fine-tuning."),
        ({"method": {"type": "reinforcement", "reinforcement": {"grader": EXACT}}}, "Only graders of type lambda"),
    ],
)
def test_undocumented_parts_of_a_job_are_refused(emulator: MantleEmulator, more: dict, problem: str) -> None:
    import openai

    client = openai.OpenAI(api_key=emulator.key, base_url=emulator.url, max_retries=0)
    rows = "".join(json.dumps(row) + "\n" for row in prompted(0, 4) * 9).encode()
    file = client.files.create(file=("rows.jsonl", rows), purpose="fine-tune")
    grader = {"type": "lambda", "lambda": {"function": "arn:aws:lambda:us-west-2:123456789012:function:none"}}
    body: dict[str, Any] = {
        "model": mantle.TRAINABLE,
        "training_file": file.id,
        "method": {"type": "reinforcement", "reinforcement": {"grader": grader}},
    }
    with pytest.raises(openai.BadRequestError, match=problem[:30]):
        client.fine_tuning.jobs.create(**{**body, **more})
    with pytest.raises(openai.BadRequestError, match="does not exist in us-west-2"):
        client.fine_tuning.jobs.create(**body)
    for call in (lambda: client.files.content(file.id), lambda: client.fine_tuning.jobs.pause("ftjob-x")):
        with pytest.raises(openai.NotFoundError):
            call()
