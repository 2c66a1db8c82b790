"""The Azure adapter against a strict loopback emulator: the contract, and training as only Azure does it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from rft_project.platforms import NotSupported, PlatformError, Unknown, build
from rft_project.platforms.azure import AzureCredentials, AzurePlatform
from rft_project.platforms.types import Access, SampleRequest, State
from tests.emulators import azure
from tests.emulators.azure import AzureEmulator, Fault
from tests.engine.process import EXACT
from tests.platforms.contract import PlatformContract, prompted

JOBS = "/openai/v1/fine_tuning/jobs"
CHAT = "/openai/v1/chat/completions"
JUDGE = {
    "type": "score_model",
    "name": "near",
    "model": "gpt-4.1-2025-04-14",
    "range": [0, 1],
    "input": [{"role": "user", "content": "gold: {{ item.reference_answer }}\ngot: {{ sample.output_text }}"}],
}


@pytest.fixture
def emulator(azure_emulator: AzureEmulator) -> AzureEmulator:
    return azure_emulator


class TestAzure(PlatformContract):
    kind = "azure"
    model = azure.TRAINABLE
    base = azure.TRAINABLE
    address = "endpoint"
    named_deployments = True
    short = {"n_epochs": 12, "reasoning_effort": "low"}
    long = {"n_epochs": 50}

    @pytest.fixture
    def credentials(self, emulator: AzureEmulator) -> dict[str, Any]:
        return emulator.credentials

    def valid_rows(self) -> list[dict[str, Any]]:
        """Azure takes no file with fewer than ten."""
        more = [{**row, "messages": [*row["messages"][:-1], _please(row["messages"][-1])]} for row in prompted(4, 6)]
        return prompted(4, 6) + more

    # What only Azure wants

    def test_the_job_goes_out_as_azure_wants_it(self, platform, emulator, request_for) -> None:
        options = {"trainingType": "developerTier"}
        handle = platform.start_training(request_for(options=options, suffix="Tickets, 3rd try!", grader=JUDGE))
        job = emulator.jobs[handle.id]
        assert job["trainingType"] == "developerTier"
        assert job["user_provided_suffix"].startswith("Tickets-3rd-try-")
        assert len(job["user_provided_suffix"]) == len("Tickets-3rd-try-") + 12
        assert job["method"]["reinforcement"]["grader"]["input"][0]["content"] == (
            "gold: {{item.reference_answer}}\ngot: {{sample.output_text}}"
        )
        sent = b"".join(content for _, content in emulator.files.values())
        assert b'"role": "developer"' in sent
        assert b'"role": "system"' not in sent
        assert emulator.problems == []

    def test_a_grader_deployment_takes_the_place_of_the_graders_model(self, platform, emulator, request_for) -> None:
        multi = {"type": "multi", "name": "t", "graders": {"near": JUDGE, "exact": EXACT}, "calculate_output": "near"}
        handle = platform.start_training(request_for(options={"grader_deployment": "chat"}, grader=multi))
        graders = emulator.jobs[handle.id]["method"]["reinforcement"]["grader"]["graders"]
        assert (graders["near"]["model"], graders["exact"]) == ("chat", EXACT)

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"train_rows": prompted(0, 3)}, "Azure takes 10 to 50,000 training rows; there are 9."),
            ({"valid_rows": prompted(4, 5)}, "Azure takes 10 to 1,000 validation rows; there are 3."),
            (
                {"grader": {**EXACT, "reference": "{{item.answers[0]}}"}},
                "Azure may not read the index in the grader's template {{item.answers[0]}}: "
                "take the value with a Python grader, or write it into a field of the records.",
            ),
        ],
    )
    def test_what_azure_would_refuse_is_refused_before_anything_is_uploaded(
        self, platform, emulator, request_for, changes, sentence
    ) -> None:
        with pytest.raises(PlatformError) as refusal:
            platform.start_training(request_for(**changes))
        assert str(refusal.value) == sentence
        assert emulator.files == {}

    @pytest.mark.parametrize(
        ("message", "fault"),
        [
            ({"role": "assistant", "content": "Yes."}, "its last message must be the user's"),
            ({"role": "user", "content": [{"type": "image_url"}]}, "it has a message that is not text"),
            ({"role": "critic", "content": "No."}, "it has a message of the role 'critic'"),
        ],
    )
    def test_rows_azure_does_not_take(self, platform, emulator, request_for, message, fault) -> None:
        rows = prompted(0, 4)
        rows[2] = {**rows[2], "messages": [*rows[2]["messages"], message]}
        with pytest.raises(PlatformError) as refusal:
            platform.start_training(request_for(train_rows=rows))
        assert str(refusal.value) == f"Azure does not take training row 3: {fault}."
        assert emulator.files == {}

    # One job, whatever is kept of its key

    @pytest.mark.parametrize("kind", ["500-after", "drop-after", "broken-json", "cut"])
    @pytest.mark.parametrize("keeps", [True, False])
    def test_a_start_that_ends_unclearly_makes_one_job(self, platform, emulator, request_for, kind, keeps) -> None:
        emulator.keeps_metadata = keeps
        emulator.faults = [Fault("POST", JOBS, kind)]
        request = request_for()
        handle = platform.start_training(request)
        assert platform.start_training(request) == handle
        assert len(emulator.jobs) == 1
        assert emulator.count("POST", "/openai/v1/files") == 2

    def test_a_job_is_found_by_its_files_name_alone(self, platform, emulator, request_for) -> None:
        emulator.keeps_metadata = False
        request = request_for()
        handle = platform.start_training(request)
        platform.start_training(request_for())
        self.finished(platform, handle)
        emulator.jobs[handle.id] |= {"user_provided_suffix": None, "fine_tuned_model": None}
        assert platform.find_training(request.key) == handle
        assert platform.start_training(request) == handle

    def test_a_hanging_start_is_unknown_and_found_later(self, emulator, request_for) -> None:
        impatient = AzurePlatform(AzureCredentials.model_validate(emulator.credentials), call_timeout=0.5)
        emulator.list_lag = 1
        emulator.faults = [Fault("POST", JOBS, "hang")]
        request = request_for()
        with pytest.raises(Unknown, match="Azure did not answer in time while starting training"):
            impatient.start_training(request)
        assert impatient.start_training(request) == impatient.find_training(request.key)
        assert len(emulator.jobs) == 1

    # Files are read before a job can take them

    def test_a_file_is_waited_for(self, platform, emulator, request_for) -> None:
        emulator.file_seconds = 0.3
        platform.start_training(request_for())
        assert len(emulator.jobs) == 1
        assert emulator.problems == []

    def test_a_file_that_takes_long_is_looked_at_again_later(self, emulator, request_for) -> None:
        hasty = AzurePlatform(AzureCredentials.model_validate(emulator.credentials), file_wait=0.0)
        emulator.file_seconds = 0.3
        request = request_for()
        with pytest.raises(PlatformError, match="Azure is still reading the file of training rows") as failure:
            hasty.start_training(request)
        assert (failure.value.retryable, failure.value.retry_after) == (True, 30.0)
        assert not isinstance(failure.value, Unknown)
        time.sleep(0.4)
        hasty.start_training(request)
        assert emulator.count("POST", "/openai/v1/files") == 2

    def test_a_file_azure_cannot_use(self, platform, emulator, request_for) -> None:
        emulator.rejects = "Row 3 holds personal data"
        with pytest.raises(PlatformError) as refusal:
            platform.start_training(request_for())
        assert str(refusal.value) == "Azure can't use the file of training rows: Row 3 holds personal data."
        assert (refusal.value.retryable, emulator.jobs) == (False, {})

    # Pausing

    def test_a_job_pauses_and_goes_on(self, platform, emulator, request_for) -> None:
        handle = platform.start_training(request_for(hyperparameters={"n_epochs": 20}))
        self.wait(platform, handle, lambda _: bool(emulator.checkpoints[handle.id]))
        platform.pause_training(handle)
        paused = self.wait(platform, handle, lambda status: status.state is State.PAUSED)
        assert (paused.word, "Resume it, or cancel it." in paused.detail) == ("paused", True)
        platform.pause_training(handle)
        platform.resume_training(handle)
        platform.resume_training(handle)
        assert self.finished(platform, handle).state is State.SUCCEEDED

    def test_the_services_limit_of_cost_pauses_the_job(self, platform, emulator, request_for) -> None:
        emulator.pauses_at = 4
        handle = platform.start_training(request_for())
        status = self.wait(platform, handle, lambda status: status.state is State.PAUSED)
        assert "its log says why" in status.detail
        warnings = [event.message for event in platform.events(handle).events if event.level == "warning"]
        assert warnings == [azure.LIMIT]
        (checkpoint,) = platform.checkpoints(handle)
        assert checkpoint.step == 4
        platform.resume_training(handle)
        assert self.finished(platform, handle).state is State.SUCCEEDED

    def test_gpt_5_is_not_paused(self, platform, request_for) -> None:
        handle = platform.start_training(request_for(model=azure.GPT5, hyperparameters=self.long))
        self.wait(platform, handle, lambda status: status.state is State.RUNNING)
        with pytest.raises(NotSupported, match=r"Azure pauses no training of gpt-5; cancel it instead\."):
            platform.pause_training(handle)

    def test_a_job_that_has_ended_is_not_paused(self, platform, request_for) -> None:
        handle = platform.start_training(request_for())
        self.finished(platform, handle)
        for call in (platform.pause_training, platform.resume_training):
            with pytest.raises(PlatformError) as refusal:
                call(handle)
            assert refusal.value.status == 400

    # Asking deployments

    def test_a_base_model_is_asked_through_the_deployment_that_serves_it(self, platform, emulator) -> None:
        sample = platform.sample(_question(azure.CHAT, temperature=0.5, n=2))
        assert len(sample.answers) == 2
        assert emulator.problems == []

    def test_without_the_management_api_names_are_entered(self, emulator) -> None:
        names = f"{azure.TRAINABLE} = our-o4-mini\n{azure.EMBEDDING} = vectors"
        platform = build("azure", {"endpoint": emulator.origin, "api_key": emulator.key, "deployments": names})
        assert platform.sample(_question(azure.TRAINABLE)).answers
        assert platform.embed(["a"])
        assert [m.id for m in platform.capabilities().models if m.method == "sample"] == ["our-o4-mini", "vectors"]
        assert not any(path.startswith("/subscriptions") for _, path in emulator.requests)

    def test_a_model_that_thinks_behind_a_name_that_tells_nothing(self, emulator) -> None:
        emulator.arm.add("triage", azure.TRAINABLE)
        platform = build("azure", {"endpoint": emulator.origin, "api_key": emulator.key})
        assert len(platform.sample(_question("triage", n=2, seed=1)).answers) == 2
        asked = emulator.count("POST", CHAT)
        platform.sample(_question("triage"))
        assert emulator.count("POST", CHAT) == asked + 1

    def test_a_model_without_a_deployment_is_told_of_with_the_way_out(self, emulator) -> None:
        platform = build("azure", {"endpoint": emulator.origin, "api_key": emulator.key})
        for call in (lambda: platform.sample(_question("o4-mini-2025-04-16")), lambda: platform.embed(["a"])):
            with pytest.raises(PlatformError) as refusal:
                call()
            assert str(refusal.value).startswith("Azure answers through deployments only, and none is known for ")
            assert (refusal.value.status, refusal.value.retryable) == (404, False)
        with pytest.raises(PlatformError) as refusal:
            platform.sample(_question("o4-mini-2025-04-16"))
        assert "--model-name o4-mini --model-version 2025-04-16" in refusal.value.remedy

    def test_content_filters_speak_in_azures_words(self, platform, emulator) -> None:
        words = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy"
        emulator.faults = [Fault("POST", CHAT, 400, message=words, code="content_filter")]
        with pytest.raises(PlatformError) as refusal:
            platform.sample(_question("chat"))
        assert (str(refusal.value), refusal.value.code) == (f"Azure refused: {words}.", "content_filter")

    # Capabilities

    def test_capabilities_follow_the_accounts_list(self, platform, emulator) -> None:
        models = {model.id: model for model in platform.capabilities().models}
        assert (models[azure.TRAINABLE].access, models[azure.GPT5].access) == (Access.EXISTING, Access.INVITATION)
        assert models["our-o4-mini"].summary == "A deployment of o4-mini-2025-04-16."
        emulator.models[azure.TRAINABLE][0]["capabilities"]["fine_tune"] = False
        models = {model.id: model for model in platform.capabilities().models}
        assert models[azure.TRAINABLE].access is Access.RETIRED

    def test_days_the_account_lists_go_before_the_catalogues_while_they_are_to_come(self, platform, emulator) -> None:
        def listed(model: str, **about: Any) -> tuple[str | None, str | None]:
            emulator.models[model][0].update(about)
            (found,) = [found for found in platform.capabilities().models if found.id == model]
            return found.retires, found.trains_until

        epoch = int(datetime(2099, 3, 1, tzinfo=UTC).timestamp())
        both = {"fine_tune": epoch, "inference": epoch + 86400}
        assert listed(azure.TRAINABLE, deprecation=both) == ("2099-03-02", "2099-02-28")
        assert listed(azure.GPT5, shutdown_date="2099-01-02") == ("2099-01-02", "2099-01-01")
        past = {"fine_tune": 1_600_000_000, "inference": "soon"}
        assert listed(azure.TRAINABLE, deprecation=past) == ("2026-10-16", "2027-04-15")

    def test_unknown_status_words_are_shown_as_they_are(self, platform, emulator, request_for) -> None:
        handle = platform.start_training(request_for(hyperparameters=self.long))
        emulator.jobs[handle.id]["status"] = "reticulating"
        status = platform.training(handle)
        assert (status.state.value, status.word) == ("running", "reticulating")


def _please(message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "content": f"Please: {message['content']}"}


def _question(model: str, **more: Any) -> SampleRequest:
    return SampleRequest(model=model, messages=[{"role": "user", "content": "x"}], **more)
