"""What only Bedrock does: names, faults at each call, the grader's trial, curves, promoting."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from moto.backends import get_backend

from graders_app.core.compiling import lambda_zip
from rft_project.platforms import PlatformError, Unknown, build
from rft_project.platforms.bedrock import BedrockPlatform
from rft_project.platforms.bedrock_values import job_name
from rft_project.platforms.lambda_grader import function_name
from rft_project.platforms.types import DeployRequest, Handle, SampleRequest, State, TrainingRequest, TrainingStatus
from tests.emulators import bedrock
from tests.emulators.bedrock import BedrockEmulator, Fault
from tests.engine.process import EXACT

from .contract import prompted
from .test_bedrock import many

JOBS = "/model-customization-jobs"
DEPLOYMENTS = "/model-customization/custom-model-deployments"
FUNCTIONS = "/2015-03-31/functions"
SHORT = {"batchSize": 64, "epochCount": 1, "trainingSamplePerPrompt": 2}
CALLABLE = {
    "type": "function",
    "function": {"name": "f", "description": "Look it up.", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture
def emulator(bedrock_emulator: BedrockEmulator) -> BedrockEmulator:
    return bedrock_emulator


@pytest.fixture
def platform(emulator: BedrockEmulator) -> BedrockPlatform:
    found = build("bedrock", emulator.credentials)
    assert isinstance(found, BedrockPlatform)
    return found


@pytest.fixture(scope="module")
def package() -> bytes:
    return lambda_zip(EXACT)


@pytest.fixture
def request_for(request: pytest.FixtureRequest, package: bytes) -> Callable[..., TrainingRequest]:
    def make(**changes: Any) -> TrainingRequest:
        values: dict[str, Any] = {
            "key": f"{request.node.nodeid}-{time.time_ns()}",
            "model": bedrock.TRAINABLE,
            "train_rows": many(0, 4, 9),
            "valid_rows": prompted(4, 6),
            "grader": EXACT,
            "grader_package": package,
            "hyperparameters": SHORT,
        }
        return TrainingRequest(**{**values, **changes})

    return make


def ended(platform: BedrockPlatform, handle: Handle) -> TrainingStatus:
    deadline = time.monotonic() + 20
    while not (status := platform.training(handle)).state.final and time.monotonic() < deadline:
        time.sleep(0.02)
    return status


def ask(model: str = bedrock.TRAINABLE, **more: Any) -> SampleRequest:
    return SampleRequest(**{"model": model, "messages": [{"role": "user", "content": "hello"}], **more})


class TestStarting:
    def test_the_job_goes_out_as_bedrock_wants_it(self, platform, emulator, request_for) -> None:
        request = request_for(suffix="My topics!", hyperparameters={**SHORT, "reasoningEffort": "off"})
        handle = platform.start_training(request)
        (job,) = emulator.jobs.values()
        assert (job["jobArn"], job["jobName"]) == (handle.id, job_name(request.key))
        assert job["outputModelName"].startswith("rft-My-topics-")
        config = job["customizationConfig"]["rftConfig"]
        assert config["hyperParameters"] == SHORT
        assert config["graderConfig"]["lambdaGrader"]["lambdaArn"].endswith(f":{function_name(request.key)}:1")
        assert len(job["validationDataConfig"]["validators"]) == 1
        assert emulator.problems == [f"No model customization job {job['jobName']}."]

    def test_the_grader_runs_under_the_role_that_may_do_least(self, platform, emulator, request_for) -> None:
        plain, judged = request_for(), request_for()
        platform.start_training(plain)
        function = emulator.account.function(function_name(plain.key))
        assert (function.role, function.timeout) == (emulator.account.grader_role, 300)
        judge = {"type": "score_model", "name": "j", "model": "us.amazon.nova-2-lite-v1:0", "range": [0, 1],
                 "input": [{"role": "user", "content": "gold: {{item.reference_answer}}"}]}  # fmt: skip
        with pytest.raises(PlatformError):  # the emulated judge gives no number that is worth anything
            platform.start_training(judged.model_copy(update={"grader": judge, "grader_package": lambda_zip(judge)}))
        assert emulator.account.function(function_name(judged.key)).role == emulator.account.judge_role

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"hyperparameters": {"batchSize": 8}}, "batchSize is out of its range: 16 to 512."),
            ({"hyperparameters": {"batchSize": 1000}}, "batchSize is out of its range: 16 to 512."),
            ({"hyperparameters": {"batchSize": 20.5}}, "batchSize is out of its range: 16 to 512."),
            ({"hyperparameters": {"learningRate": 1}}, "learningRate is out of its range: 1e-07 to 0.001."),
            ({"hyperparameters": {"maxPromptLength": 0}}, "maxPromptLength is out of its range: at least 1."),
            ({"hyperparameters": {"reasoningEffort": "max"}}, "reasoningEffort must be off or low or high."),
            ({"train_rows": many(0, 4, 8)}, "Nova 2 Lite is trained with 100 to 20,000 rows; there are 96."),
            ({"model": "amazon.titan"}, "Amazon Bedrock can't train amazon.titan."),
            ({"grader_package": b""}, "Bedrock needs the grader as a Lambda function, and there is none."),
            (
                {"train_rows": [{"messages": [{"role": "user", "content": ""}]}] * 100},
                "Row 1 of the train rows has a message without text; mend it or leave it out.",
            ),
            (
                {"train_rows": [{**row, "tools": [{**CALLABLE, "function": {"name": "f"}}]} for row in many(0, 4, 9)]},
                "Row 1 of the train rows offers a tool without a name or a description; mend it or leave it out.",
            ),
            (
                {"train_rows": [{**row, "tools": [CALLABLE, CALLABLE]} for row in many(0, 4, 9)]},
                "Row 1 of the train rows offers two tools of one name; mend it or leave it out.",
            ),
            (
                {"valid_rows": [{**row, "reference_answer": ""} for row in prompted(4, 6)]},
                "Row 1 of the valid rows has an empty reference answer; mend it or leave it out.",
            ),
        ],
    )
    def test_what_bedrock_would_refuse_goes_nowhere(self, platform, emulator, request_for, change, said) -> None:
        with pytest.raises(PlatformError) as refusal:
            platform.start_training(request_for(**change))
        assert str(refusal.value) == said
        assert not emulator.jobs
        assert [path for method, path in emulator.requests if method in ("PUT", "POST")] == []

    def test_another_region_is_refused(self, emulator, request_for) -> None:
        platform = build("bedrock", {**emulator.credentials, "region": "us-west-2"})
        assert (platform.capabilities().train, platform.capabilities().models) == (False, [])
        with pytest.raises(PlatformError, match="is trained in us-east-1 only"):
            platform.start_training(request_for())

    def test_a_grader_that_rewards_no_reference_is_refused(self, platform, emulator, request_for) -> None:
        never = {**EXACT, "reference": "something nobody says"}
        with pytest.raises(PlatformError, match="gave no reward to any of the rows' own reference answers"):
            platform.start_training(request_for(grader=never, grader_package=lambda_zip(never)))
        assert not emulator.jobs

    def test_tools_and_references_that_are_no_text_go_out_as_bedrock_takes_them(
        self, platform, emulator, request_for
    ) -> None:
        counted = [{**row, "tools": [CALLABLE], "reference_answer": at} for at, row in enumerate(many(0, 4, 9))]
        always = {**EXACT, "operation": "ilike", "input": "{{item.reference_answer}}"}
        platform.start_training(request_for(train_rows=counted, grader=always, grader_package=lambda_zip(always)))
        (job,) = emulator.jobs.values()
        place = job["trainingDataConfig"]["s3Uri"].removeprefix(f"s3://{emulator.account.bucket}/")
        sent = emulator.account.object(emulator.account.bucket, place).splitlines()
        assert [json.loads(line)["reference_answer"] for line in sent[:3]] == ["0", "1", "2"]
        assert json.loads(sent[0])["tools"] == [CALLABLE]

    def test_a_role_that_was_made_just_now_is_waited_for(self, platform, emulator, request_for) -> None:
        said = "The role defined for the function cannot be assumed by Lambda."
        emulator.faults.append(Fault("POST", FUNCTIONS, 400, message=said, code="InvalidParameterValueException"))
        request = request_for()
        with pytest.raises(PlatformError, match="a new role takes some seconds") as early:
            platform.start_training(request)
        assert (early.value.retryable, early.value.retry_after) == (True, 10.0)
        assert not isinstance(early.value, Unknown)
        assert platform.start_training(request).id in emulator.jobs

    def test_without_validation_where_it_is_refused(self, platform, emulator, request_for) -> None:
        emulator.refuses_validation = True
        platform.start_training(request_for())
        (job,) = emulator.jobs.values()
        assert job["validationDataConfig"] == {"validators": []}

    @pytest.mark.parametrize("kind", ["drop", "drop-after", "500-after", 500, "broken-json", 409, 429])
    @pytest.mark.parametrize(
        ("method", "path", "skip"),
        [("POST", JOBS, 0), ("POST", FUNCTIONS, 0), ("PUT", "/rft-", 0), ("PUT", "/rft-", 1)],
    )
    def test_one_of_everything_whatever_goes_wrong(
        self, platform, emulator, request_for, kind, method, path, skip
    ) -> None:
        request = request_for()
        emulator.faults.append(Fault(method, path, kind, skip=skip))
        for _ in range(3):
            try:
                handle = platform.start_training(request)
                break
            except PlatformError as error:
                assert error.retryable
                assert isinstance(error, Unknown) is (kind != 429)
        assert emulator.faults == []
        assert list(emulator.jobs) == [handle.id]
        versions = emulator.account.function(function_name(request.key))
        assert versions is not None
        assert len([1 for m, p in emulator.requests if m == "POST" and p == JOBS]) <= 2

    def test_a_start_that_hangs_is_not_known_and_found_later(self, emulator, request_for) -> None:
        impatient = BedrockPlatform(BedrockPlatform.credentials.model_validate(emulator.credentials), call_timeout=0.5)
        emulator.faults += [Fault("GET", JOBS, 503, skip=1), Fault("POST", JOBS, "hang", seconds=2.0)]
        request = request_for()
        with pytest.raises(Unknown, match=r"Amazon Bedrock did not answer in time while starting training\."):
            impatient.start_training(request)
        assert impatient.start_training(request) == impatient.find_training(request.key)
        assert len(emulator.jobs) == 1

    def test_a_name_that_is_taken_says_that_it_was_started(self, platform, emulator, request_for) -> None:
        """Though the job does not show yet: nothing else has a name made of the key."""
        request = request_for()
        handle = platform.start_training(request)
        other = request.model_copy(update={"hyperparameters": {**SHORT, "epochCount": 2}})
        emulator.faults += [Fault("GET", JOBS, 404) for _ in range(3)]
        with pytest.raises(Unknown, match="The clientRequestToken was used with other parameters"):
            platform.start_training(other)
        emulator.faults[:] = [Fault("GET", JOBS, 404)]
        assert platform.start_training(other) == handle
        assert list(emulator.jobs) == [handle.id]

    def test_an_upload_that_hangs_is_found(self, emulator, request_for) -> None:
        impatient = BedrockPlatform(BedrockPlatform.credentials.model_validate(emulator.credentials), call_timeout=0.5)
        emulator.faults += [Fault("PUT", "/rft-", "hang", seconds=2.0)]
        impatient.start_training(request_for())
        assert [method for method, _ in emulator.requests].count("PUT") == 2


class TestCourse:
    def test_stopped_early_by_the_service_is_a_good_end(self, platform, emulator, request_for) -> None:
        emulator.stops_early = 1
        handle = platform.start_training(request_for())
        assert ended(platform, handle).state is State.SUCCEEDED

    def test_events_as_awss_samples_have_them_are_graded_the_same(self, platform, emulator, request_for) -> None:
        emulator.as_in_samples = True
        learning = {"batchSize": 32, "epochCount": 3, "trainingSamplePerPrompt": 8}
        handle = platform.start_training(request_for(hyperparameters=learning))
        assert ended(platform, handle).state is State.SUCCEEDED
        _, event = emulator.invocations[-1]
        assert event[0]["messages"][-1]["role"] == "nova_assistant"
        assert set(event[0]["reference_answer"]) == {"text"}
        rewards = [told.metrics["observed_reward"] for told in platform.events(handle).events]
        assert rewards[-1] > rewards[0] + 0.25

    def test_a_failed_job_says_why(self, platform, emulator, request_for) -> None:
        emulator.fails_at = 1
        status = ended(platform, platform.start_training(request_for()))
        assert (status.state, status.word) == (State.FAILED, "Failed")
        assert status.detail == "An internal error occurred. Retry the job."

    def test_a_grader_that_times_out_ends_the_job(self, platform, emulator, request_for) -> None:
        request = request_for()
        slow = "import time\n\n\ndef grade(sample, item):\n    if sample['output_text'] != item['reference_answer']:\n"
        slow = {"type": "python", "name": "slow", "source": f"{slow}        time.sleep(0.6)\n    return 1.0\n"}
        emulator.function_timeout = 0.2
        status = ended(
            platform,
            platform.start_training(request.model_copy(update={"grader": slow, "grader_package": lambda_zip(slow)})),
        )
        assert (status.state, status.detail) == (
            State.FAILED,
            "The reward function failed: Sandbox.Timedout: Task timed out after 0.20 seconds",
        )

    def test_metric_files_are_read_whatever_their_columns(self, platform, emulator, request_for) -> None:
        emulator.metric_file = "step_number,critic/rewards/mean,training_loss,note\n1,0.25,0.5,a\n2,0.5,,b\n"
        handle = platform.start_training(request_for())
        ended(platform, handle)
        told = [event for event in platform.events(handle).events if event.id.startswith("file-")]
        assert [(event.step, event.metrics) for event in told] == [
            (1, {"train_reward": 0.25, "training_loss": 0.5}),
            (2, {"train_reward": 0.5}),
        ]

    def test_a_metric_file_behind_a_thousand_others_is_found(self, platform, emulator, request_for) -> None:
        emulator.metric_file = "step,critic/rewards/mean\n1,0.5\n"
        handle = platform.start_training(request_for())
        ended(platform, handle)
        place = emulator.jobs[handle.id]["outputDataConfig"]["s3Uri"].partition(f"{emulator.account.bucket}/")[2]
        store = get_backend("s3")[bedrock.ACCOUNT]["global"]
        for number in range(1000):
            store.put_object(emulator.account.bucket, f"{place}a/{number}", b"")
        assert [event.step for event in platform.events(handle).events if event.id.startswith("file-")] == [1]

    def test_neither_the_trial_nor_validation_is_part_of_the_curve(self, platform, emulator, request_for) -> None:
        handle = platform.start_training(request_for())
        ended(platform, handle)
        graded = sum(
            not sample["id"].startswith(("trial-", "valid-")) for _, event in emulator.invocations for sample in event
        )
        assert graded == 108 * 2
        assert [event.step for event in platform.events(handle).events] == [1, 2]

    def test_clean_up_leaves_the_model_alone(self, platform, emulator, request_for) -> None:
        emulator.step_seconds = 0.1
        request = request_for()
        handle = platform.start_training(request)
        with pytest.raises(PlatformError, match="still at work"):
            platform.clean_up(request.key)
        status = ended(platform, handle)
        deleted = platform.clean_up(request.key)
        assert deleted[0] == "the grader's function"
        assert len(deleted) == 3
        assert platform.clean_up(request.key) == []
        assert emulator.account.function(function_name(request.key)) is None
        assert status.model in emulator.models


class TestDeploying:
    @pytest.fixture
    def models(self, platform, request_for) -> list[str]:
        found = [ended(platform, platform.start_training(request_for())).model for _ in range(2)]
        return [model for model in found if model is not None]

    def test_promote_and_roll_back(self, platform, emulator, models) -> None:
        first, second = models
        handle = platform.deploy(DeployRequest(key="d", model=first, name="Topics of mail!"))
        (made,) = emulator.deployments.values()
        assert made["modelDeploymentName"].startswith("Topics-of-mail-")
        for model in (second, second, first):
            platform.promote(handle, model)
            assert platform.deployment(handle).word == "Active"
            assert made["modelArn"] == model
        assert sum(method == "PATCH" for method, _ in emulator.requests) == 2
        assert platform.sample(ask(handle.id)).answers

    def test_a_promotion_that_failed_is_told_and_may_be_asked_for_again(self, platform, emulator, models) -> None:
        first, second = models
        handle = platform.deploy(DeployRequest(key="d", model=first))
        emulator.update_seconds, emulator.fails_to_update = 60, True
        platform.promote(handle, second)
        platform.promote(handle, second)  # while it is at work
        status = platform.deployment(handle)
        assert (status.state, status.word) == (State.RUNNING, "Updating")
        (made,) = emulator.deployments.values()
        made["updated_at"] = 0.0
        status = platform.deployment(handle)
        assert (status.state, status.word) == (State.SUCCEEDED, "UpdateFailed")
        assert status.detail == "The other model could not be put behind it; the one before still answers."
        emulator.update_seconds, emulator.fails_to_update = 0, False
        platform.promote(handle, second)
        assert platform.deployment(handle).word == "Active"
        assert made["modelArn"] == second
        assert sum(method == "PATCH" for method, _ in emulator.requests) == 2

    @pytest.mark.parametrize("kind", ["drop", "drop-after", "500-after", 429])
    def test_one_deployment_whatever_goes_wrong(self, platform, emulator, models, kind) -> None:
        request = DeployRequest(key="once", model=models[0])
        emulator.faults.append(Fault("POST", DEPLOYMENTS, kind))
        for _ in range(2):
            try:
                handle = platform.deploy(request)
            except PlatformError as error:
                assert error.retryable
        assert platform.deploy(request) == handle
        assert list(emulator.deployments) == [handle.id]

    def test_a_name_that_is_taken_says_that_it_was_made(self, platform, emulator, models) -> None:
        handle = platform.deploy(DeployRequest(key="taken", model=models[0]))
        emulator.faults += [Fault("GET", DEPLOYMENTS, 404) for _ in range(3)]
        with pytest.raises(Unknown, match=r"The deployment name is in use\."):
            platform.deploy(DeployRequest(key="taken", model=models[0]))
        emulator.faults.clear()
        assert platform.deploy(DeployRequest(key="taken", model=models[0])) == handle
        assert list(emulator.deployments) == [handle.id]

    def test_it_answers_once_it_is_active(self, platform, emulator, models) -> None:
        emulator.deploy_seconds = 60
        handle = platform.deploy(DeployRequest(key="slow", model=models[0]))
        status = platform.deployment(handle)
        assert (status.state, status.word) == (State.RUNNING, "Creating")
        with pytest.raises(PlatformError) as early:
            platform.sample(ask(handle.id))
        assert early.value.retryable
