"""The Azure adapter against a strict loopback emulator: the contract, and training as only Azure does it."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx2
import pytest

from rft_project.platforms import NotSupported, Platform, PlatformError, Unknown, build
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


@pytest.fixture
def keyless(emulator: AzureEmulator) -> Platform:
    """Signed in with a managed identity, by the real azure-identity."""
    return build("azure", {**emulator.credentials, "api_key": ""})


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

    def test_unknown_status_words_are_shown_as_they_are(self, platform, emulator, request_for) -> None:
        handle = platform.start_training(request_for(hyperparameters=self.long))
        emulator.jobs[handle.id]["status"] = "reticulating"
        status = platform.training(handle)
        assert (status.state.value, status.word) == ("running", "reticulating")


class TestSigningIn:
    def test_both_ways_reach_the_data_plane(self, keyless, emulator) -> None:
        keyless.check()
        build("azure", emulator.credentials).check()
        (mine, theirs) = (headers for headers in _data(emulator) if "authorization" in headers)
        assert emulator.tokens[mine["authorization"].removeprefix("Bearer ")] == "https://cognitiveservices.azure.com"
        assert "api-key" not in mine
        assert theirs["api-key"] == emulator.key

    def test_a_project_has_an_audience_of_its_own(self, emulator) -> None:
        project = f"{emulator.origin}/api/projects/ours"
        build("azure", {"endpoint": project, "api_key": ""}).check()
        assert set(emulator.tokens.values()) == {"https://ai.azure.com"}

    def test_another_audience_can_be_entered(self, emulator) -> None:
        scope = "https://ai.azure.com/.default"
        with pytest.raises(PlatformError, match="Azure does not accept this server's sign-in: ") as refusal:
            build("azure", {"endpoint": emulator.origin, "api_key": "", "scope": scope}).check()
        assert set(emulator.tokens.values()) == {"https://ai.azure.com"}
        for token in emulator.tokens:
            assert token not in str(refusal.value)
        assert refusal.value.remedy.startswith('az role assignment create --role "Foundry User"')

    def test_tokens_are_kept_and_never_logged(self, keyless, emulator, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        keyless.check()
        build("azure", {**emulator.credentials, "api_key": ""}).check()
        assert emulator.count("GET", "/msi/token") == 2  # one for each audience
        logged = "\n".join(record.getMessage() for record in caplog.records)
        assert logged
        for token in emulator.tokens:
            assert token not in logged

    def test_a_server_that_is_not_signed_in(self, emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
        before = len(emulator.requests)
        with pytest.raises(PlatformError) as refusal:
            build("azure", {**emulator.credentials, "api_key": ""}).check()
        assert str(refusal.value) == (
            "This server is not signed in to Azure, so nothing was sent: sign it in, or enter a key."
        )
        assert "az login" in refusal.value.remedy
        assert len(emulator.requests) == before

    def test_the_key_is_never_repeated(self, emulator) -> None:
        with pytest.raises(PlatformError) as refusal:
            build("azure", {**emulator.credentials, "api_key": "wrong-and-secret"}).check()
        assert "wrong-and-secret" not in str(refusal.value)
        assert refusal.value.remedy == (
            "# The keys of the resource:\n"
            "az cognitiveservices account keys list --resource-group rg-rft --name rft-emulated"
        )

    def test_a_missing_role_is_told_with_the_command_that_gives_it(self, platform_of, emulator) -> None:
        emulator.faults = [Fault("GET", "/openai/v1/models", 403, message="The principal lacks the data action.")]
        with pytest.raises(PlatformError) as refusal:
            platform_of().check()
        assert refusal.value.remedy.startswith('az role assignment create --role "Foundry User"')
        assert emulator.arm.deployments
        assert "/accounts/rft-emulated" in refusal.value.remedy

    @pytest.fixture
    def platform_of(self, emulator: AzureEmulator):
        return lambda **changes: build("azure", {**emulator.credentials, **changes})


class TestCredentials:
    PLACE = {"endpoint": "https://ours.openai.azure.com", "api_key": "k"}

    @pytest.mark.parametrize(
        ("endpoint", "base"),
        [
            ("https://ours.openai.azure.com", "https://ours.openai.azure.com/openai/v1"),
            ("https://ours.openai.azure.com/openai/v1/", "https://ours.openai.azure.com/openai/v1"),
            ("https://ours.openai.azure.com/openai", "https://ours.openai.azure.com/openai/v1"),
            (
                "https://ours.services.ai.azure.com/api/projects/p",
                "https://ours.services.ai.azure.com/api/projects/p/openai/v1",
            ),
        ],
    )
    def test_addresses_as_people_copy_them(self, endpoint, base) -> None:
        assert AzureCredentials(endpoint=endpoint, api_key="k").base_url == base

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"endpoint": "https://ours.openai.azure.com/openai/deployments/x"}, "endpoint ends before /openai"),
            ({"endpoint": "https://ours.openai.azure.com?api-version=1"}, "endpoint"),
            ({"resource_group": "g"}, "subscription, resource_group and account belong together"),
            ({"deployments": "o4-mini"}, "write one line for each model: model = deployment"),
            ({"scope": "https://evil.example/.default"}, "scope"),
        ],
    )
    def test_shapes_that_are_refused(self, changes, words) -> None:
        with pytest.raises(PlatformError) as refusal:
            build("azure", {**self.PLACE, **changes})
        assert words in str(refusal.value)

    @pytest.mark.parametrize(
        "endpoint",
        [
            "https://gateway.example.com",
            "https://ours.openai.azure.com.example.com",
            "https://openai.azure.com.example.com",
            "http://ours.openai.azure.com",
            "http://10.0.0.8:8000",
        ],
    )
    def test_this_servers_sign_in_goes_to_azure_only(self, endpoint) -> None:
        build("azure", {"endpoint": endpoint, "api_key": "k"})
        with pytest.raises(PlatformError, match="this server's own sign-in would be sent there"):
            build("azure", {"endpoint": endpoint})

    def test_the_management_api_stands_at_microsofts_address(self) -> None:
        place = {"subscription": "0" * 8 + "-0000-0000-0000-" + "0" * 12, "resource_group": "g", "account": "ours"}
        managed = AzureCredentials(**self.PLACE, **place).managed
        assert managed is not None
        assert managed.root == "https://management.azure.com"
        assert managed.id == (
            "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g"
            "/providers/Microsoft.CognitiveServices/accounts/ours"
        )


class TestEmulatorIsStrict:
    """What the emulator refuses, so that the tests above mean something."""

    def call(self, emulator: AzureEmulator, path: str, **headers: str) -> tuple[int, str]:

        answer = httpx2.get(f"{emulator.origin}{path}", headers={"api-key": emulator.key, **headers})
        return answer.status_code, str(json.loads(answer.content)["error"]["message"])

    def test_the_v1_path_takes_no_api_version(self, emulator) -> None:
        said = "api-version query parameter is not allowed when using /v1 path."
        assert self.call(emulator, "/openai/v1/models?api-version=2025-04-01-preview") == (400, said)

    def test_classic_paths_are_not_there(self, emulator) -> None:
        assert self.call(emulator, "/openai/fine_tuning/jobs?api-version=2025-04-01-preview")[0] == 404

    def test_a_key_does_not_open_the_management_api(self, emulator) -> None:
        bearer = f"Bearer {emulator.key}"
        assert self.call(emulator, "/subscriptions/x", authorization=bearer)[0] == 401


def _please(message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "content": f"Please: {message['content']}"}


def _question(model: str, **more: Any) -> SampleRequest:
    return SampleRequest(model=model, messages=[{"role": "user", "content": "x"}], **more)


def _data(emulator: AzureEmulator) -> list[dict[str, str]]:
    """Headers of the requests to the data plane."""
    return [h for (_, path), h in zip(emulator.requests, emulator.headers, strict=True) if path.startswith("/openai")]
