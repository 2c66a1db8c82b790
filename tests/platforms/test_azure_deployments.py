"""Deploying a tuned model on Azure: over the management API, by hand, and once whatever goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from rft_project.platforms import Platform, PlatformError, Unknown, build
from rft_project.platforms.azure import AzureCredentials, AzurePlatform
from rft_project.platforms.azure_checks import deployment_name
from rft_project.platforms.types import DeployRequest, Handle, SampleRequest, State
from tests.emulators import azure
from tests.emulators.azure import AzureEmulator, Fault
from tests.emulators.policy import UNSURE, Policy

TUNED = f"{azure.TRAINABLE}.ft-{'0a' * 16}-triage"
WRITE = "Microsoft.CognitiveServices/accounts/deployments/write"
ARM = "/subscriptions"
CHAT = "/openai/v1/chat/completions"


@pytest.fixture
def emulator(azure_emulator: AzureEmulator) -> AzureEmulator:
    """With a tuned model that is deployed nowhere."""
    about = {"id": TUNED, "object": "model", "created": 1, "owned_by": "system"}
    azure_emulator.models[TUNED] = (about, Policy([UNSURE]))
    return azure_emulator


@pytest.fixture
def platform(emulator: AzureEmulator) -> Platform:
    return build("azure", emulator.credentials)


@pytest.fixture
def keyed(emulator: AzureEmulator) -> Platform:
    """Its connection has a key and names no account."""
    return build("azure", {"endpoint": emulator.origin, "api_key": emulator.key})


def wanted(**changes: Any) -> DeployRequest:
    return DeployRequest(**{"key": "k-1", "model": TUNED, "name": "Triage v3", "base": azure.TRAINABLE, **changes})


def until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class TestDeploying:
    def test_it_is_running_until_it_answers(self, platform, emulator) -> None:
        emulator.arm.creating_seconds = emulator.arm.answering_seconds = 1000
        handle = platform.deploy(wanted())
        creating = platform.deployment(handle)
        assert (creating.state, creating.word) == (State.RUNNING, "Creating")
        emulator.arm.ahead = 1500
        silent = platform.deployment(handle)
        assert (silent.state, silent.word, silent.detail) == (
            State.RUNNING,
            "Succeeded",
            "Azure has made the deployment; it does not answer yet, which can take some minutes.",
        )
        emulator.arm.ahead = 2500
        ready = platform.deployment(handle)
        assert (ready.state, ready.word, ready.model) == (State.SUCCEEDED, "Succeeded", handle.id)
        assert platform.sample(_question(ready.model)).answers

    def test_what_goes_out(self, platform, emulator) -> None:
        handle = platform.deploy(wanted(options={"sku": "DeveloperTier", "capacity": 7}))
        assert handle == Handle(id=deployment_name("Triage v3", "k-1"), kind="deployment")
        made = emulator.arm.deployments[handle.id].body
        assert made["sku"] == {"name": "DeveloperTier", "capacity": 7}
        assert made["properties"] == {"model": {"format": "OpenAI", "name": TUNED, "version": "1"}}
        assert set(emulator.tokens.values()) == {"https://management.azure.com"}

    def test_the_catalogue_says_what_is_usual_for_a_base_model(self, platform, emulator) -> None:
        usual = emulator.arm.deployments[platform.deploy(wanted()).id].body["sku"]
        assert usual == {"name": "GlobalStandard", "capacity": 100}
        tuned = f"{azure.GPT5}.ft-{'0b' * 16}"
        emulator.models[tuned] = emulator.models[TUNED]
        for key, base in (("k-2", azure.GPT5), ("k-3", "")):
            handle = platform.deploy(wanted(key=key, model=tuned, base=base))
            assert emulator.arm.deployments[handle.id].body["sku"]["name"] == "Standard"

    @pytest.mark.parametrize("capacity", [0, "many"])
    def test_capacities_that_are_none(self, platform, emulator, capacity) -> None:
        with pytest.raises(PlatformError, match="The capacity of a deployment is a whole number, 1 or more"):
            platform.deploy(wanted(options={"capacity": capacity}))
        assert emulator.arm.made == []

    def test_undeploying_twice(self, platform, emulator) -> None:
        handle = platform.deploy(wanted())
        platform.undeploy(handle)
        platform.undeploy(handle)
        assert handle.id not in emulator.arm.deployments
        gone = platform.deployment(handle)
        assert (gone.state, gone.word) == (State.FAILED, "missing")

    def test_a_deployment_of_the_developer_tier_lasts_a_day(self, platform, emulator) -> None:
        handle = platform.deploy(wanted(options={"sku": "DeveloperTier"}))
        emulator.arm.ahead = 23 * 3600
        assert platform.deployment(handle).state is State.SUCCEEDED
        emulator.arm.ahead = 24 * 3600
        gone = platform.deployment(handle)
        assert (gone.state, gone.detail) == (
            State.FAILED,
            "There is no such deployment any more. Azure deletes one of the developer tier after 24 hours.",
        )

    def test_a_blocked_model_is_told_in_azures_words(self, platform, emulator) -> None:
        emulator.arm.blocks = "The model failed the safety evaluation: hate."
        handle = platform.deploy(wanted())
        blocked = platform.deployment(handle)
        assert (blocked.state, blocked.word, blocked.detail) == (State.FAILED, "Failed", emulator.arm.blocks)
        emulator.arm.blocks = ""
        assert platform.deploy(wanted()) == handle
        assert platform.deployment(handle).state is State.SUCCEEDED
        assert list(emulator.arm.deployments).count(handle.id) == 1

    def test_all_pages_of_the_list_are_read(self, platform, emulator) -> None:
        for number in range(5):
            emulator.arm.add(f"more-{number}", azure.CHAT)
        listed = [model.id for model in platform.capabilities().models if model.method == "sample"]
        assert listed == sorted(emulator.arm.deployments)

    def test_a_list_that_leads_elsewhere_is_not_followed(self, platform, emulator) -> None:
        with azure.running() as other:
            emulator.arm.next_origin = other.origin
            with pytest.raises(PlatformError, match="leads to another host, which is not followed"):
                platform.check()
            assert other.requests == []


class TestOnce:
    """However the call ends, one deployment is made."""

    @pytest.mark.parametrize(
        "kind", ["500-after", "drop-after", "broken-json", "cut", "not-json", "deep-json", "deep-error"]
    )
    def test_a_call_that_ends_unclearly_after_its_work(self, platform, emulator, kind) -> None:
        emulator.faults = [Fault("PUT", ARM, kind)]
        handle = platform.deploy(wanted())
        assert platform.deploy(wanted()) == handle
        assert emulator.arm.made == [handle.id]

    @pytest.mark.parametrize("kind", [500, 503, 408, "drop"])
    def test_a_call_that_ends_unclearly_before_its_work(self, platform, emulator, kind) -> None:
        emulator.faults = [Fault("PUT", ARM, kind)]
        with pytest.raises(Unknown):
            platform.deploy(wanted())
        handle = platform.deploy(wanted())
        assert emulator.arm.made == [handle.id]

    def test_a_call_that_hangs(self, emulator) -> None:
        impatient = AzurePlatform(AzureCredentials.model_validate(emulator.credentials), call_timeout=0.5)
        emulator.faults = [Fault("GET", ARM, 503, skip=1), Fault("PUT", ARM, "hang")]
        with pytest.raises(Unknown, match="Azure did not answer in time while making the deployment"):
            impatient.deploy(wanted())
        handle = impatient.deploy(wanted())
        assert emulator.arm.made == [handle.id]

    @pytest.mark.parametrize("kind", [500, "drop", "broken-json"])
    def test_nothing_is_made_where_an_earlier_attempt_cannot_be_looked_for(self, platform, emulator, kind) -> None:
        emulator.faults = [Fault("GET", ARM, kind)]
        with pytest.raises(PlatformError) as failure:
            platform.deploy(wanted())
        assert failure.value.retryable
        assert not isinstance(failure.value, Unknown)
        assert emulator.arm.made == []

    @pytest.mark.parametrize("kind", [500, "500-after", "drop", "drop-after"])
    def test_deleting_may_be_tried_again(self, platform, emulator, kind) -> None:
        handle = platform.deploy(wanted())
        emulator.faults = [Fault("DELETE", ARM, kind)]
        with pytest.raises(PlatformError) as failure:
            platform.undeploy(handle)
        assert failure.value.retryable
        platform.undeploy(handle)
        assert handle.id not in emulator.arm.deployments

    def test_while_another_change_goes_on_it_is_to_be_tried_later(self, platform, emulator) -> None:
        emulator.arm.creating_seconds = 1000
        first = platform.deploy(wanted())
        with pytest.raises(PlatformError, match="Azure is busy with another change") as busy:
            platform.deploy(wanted(key="k-2"))
        assert not isinstance(busy.value, Unknown)
        assert (busy.value.retryable, busy.value.retry_after, busy.value.code) == (True, 20.0, "RequestConflict")
        emulator.arm.ahead = 1000
        second = platform.deploy(wanted(key="k-2"))
        assert emulator.arm.made == [first.id, second.id]

    def test_a_redirect_is_not_followed(self, platform, emulator) -> None:
        with azure.running() as other:
            emulator.faults = [Fault("GET", ARM, "redirect", {"location": other.origin})]
            with pytest.raises(PlatformError, match="a redirect, which is not followed"):
                platform.deployment(Handle(id="chat", kind="deployment"))
            assert other.requests == []

    def test_nobody_there(self, emulator, unused_port) -> None:
        place = {**emulator.credentials, "endpoint": f"http://127.0.0.1:{unused_port}"}
        with pytest.raises(PlatformError, match="Azure's management API can't be reached") as failure:
            build("azure", place).deploy(wanted())
        assert failure.value.retryable
        assert not isinstance(failure.value, Unknown)


class TestRefusals:
    def test_a_missing_role_names_the_permission_and_two_ways_out(self, platform, emulator) -> None:
        emulator.arm.lacking = {WRITE}
        with pytest.raises(PlatformError, match="does not have authorization to perform action") as refusal:
            platform.deploy(wanted())
        assert not isinstance(refusal.value, Unknown)
        name = deployment_name("Triage v3", "k-1")
        assert refusal.value.remedy.splitlines() == [
            f"# Missing: {WRITE}",
            'az role assignment create --role "Foundry Owner" \\',
            "  --assignee 99999999-8888-7777-6666-555555555555 \\",
            "  --scope /subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/rg-rft"
            "/providers/Microsoft.CognitiveServices/accounts/rft-emulated",
            "# Or let somebody who may do it deploy the model:",
            "az cognitiveservices account deployment create --resource-group rg-rft --name rft-emulated \\",
            f"  --deployment-name {name} --model-name {TUNED} --model-version 1 \\",
            "  --model-format OpenAI --sku-name GlobalStandard --sku-capacity 100",
        ]
        emulator.arm.add(name, TUNED)  # somebody did
        handle = platform.deploy(wanted())
        assert platform.deployment(handle).state is State.SUCCEEDED
        assert emulator.arm.made == []

    def test_quota_in_azures_words(self, platform) -> None:
        with pytest.raises(PlatformError) as refusal:
            platform.deploy(wanted(options={"capacity": 5000}))
        assert str(refusal.value).startswith("Azure refused making the deployment: This operation requires 5000 new")
        assert (refusal.value.code, refusal.value.retryable) == ("InsufficientQuota", False)

    @pytest.mark.parametrize(
        ("field", "value", "code"),
        [
            ("subscription", "11111111-1111-1111-1111-111111111111", "SubscriptionNotFound"),
            ("resource_group", "other", "ResourceGroupNotFound"),
            ("account", "other", "ResourceNotFound"),
        ],
    )
    def test_a_wrong_place_is_found_by_the_check(self, emulator, field, value, code) -> None:
        with pytest.raises(PlatformError) as refusal:
            build("azure", {**emulator.credentials, field: value}).check()
        assert (refusal.value.code, refusal.value.status) == (code, 404)

    def test_a_server_that_is_not_signed_in_deploys_nothing(self, platform, emulator, monkeypatch) -> None:
        monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
        with pytest.raises(PlatformError, match="not signed in to Azure, which it needs to deploy") as refusal:
            platform.deploy(wanted())
        assert "--deployment-name triage-v3-" in refusal.value.remedy
        assert platform.sample(_question("chat")).answers


class TestByHand:
    """A connection that names no account, or may not ask about it."""

    def test_the_way_out_names_the_deployment_that_is_taken_up(self, keyed, emulator) -> None:
        name = deployment_name("Triage v3", "k-1")
        with pytest.raises(PlatformError) as refusal:
            keyed.deploy(wanted())
        assert f"deploy the model yourself under the name {name} and then deploy again." in str(refusal.value)
        assert f"--deployment-name {name} --model-name {TUNED}" in refusal.value.remedy
        emulator.arm.creating_seconds = emulator.arm.answering_seconds = 0
        emulator.arm.add(name, TUNED)
        handle = keyed.deploy(wanted())
        assert keyed.deployment(handle).state is State.SUCCEEDED
        assert keyed.sample(_question(handle.id)).answers

    def test_any_deployment_made_in_the_portal_can_be_watched(self, platform, keyed, emulator) -> None:
        for watching in (platform, keyed):
            assert watching.deployment(Handle(id="made-in-the-portal", kind="deployment")).state is State.FAILED
        emulator.arm.add("made-in-the-portal", TUNED)
        emulator.arm.deployments["made-in-the-portal"].answers_at += 1000
        for watching in (platform, keyed):
            assert watching.deployment(Handle(id="made-in-the-portal", kind="deployment")).state is State.RUNNING
        emulator.arm.ahead = 1000
        for watching in (platform, keyed):
            status = watching.deployment(Handle(id="made-in-the-portal", kind="deployment"))
            assert (status.state, status.model) == (State.SUCCEEDED, "made-in-the-portal")

    def test_what_may_not_be_read_is_asked_itself(self, platform, emulator) -> None:
        handle = platform.deploy(wanted())
        emulator.arm.lacking = {WRITE.replace("write", "read")}
        assert platform.deployment(handle).state is State.SUCCEEDED

    def test_a_tuned_model_is_deployed_before_it_is_asked(self, platform, emulator) -> None:
        with pytest.raises(PlatformError, match="deploy the tuned model first") as refusal:
            platform.sample(_question(TUNED))
        assert TUNED in str(refusal.value)
        with pytest.raises(PlatformError, match="deploy the tuned model first"):
            platform.sample(_question(f"ftchkpt-{'0' * 32}"))
        fresh = build("azure", emulator.credentials)
        fresh.deploy(wanted())
        assert fresh.sample(_question(TUNED)).answers

    def test_taking_it_away_is_left_to_people(self, keyed) -> None:
        with pytest.raises(PlatformError, match="delete triage yourself, it is billed until then") as refusal:
            keyed.undeploy(Handle(id="triage", kind="deployment"))
        assert refusal.value.remedy.startswith(
            "az cognitiveservices account deployment delete --resource-group <group>"
        )

    @pytest.mark.parametrize(("status", "state"), [(429, State.SUCCEEDED), (400, State.SUCCEEDED)])
    def test_a_deployment_that_refuses_the_question_is_there(self, platform, emulator, status, state) -> None:
        emulator.faults = [Fault("POST", CHAT, status)]
        assert platform.deployment(Handle(id="chat", kind="deployment")).state is state

    def test_a_failing_look_says_nothing_about_the_deployment(self, platform, emulator) -> None:
        emulator.faults = [Fault("POST", CHAT, 500)]
        with pytest.raises(PlatformError) as failure:
            platform.deployment(Handle(id="chat", kind="deployment"))
        assert failure.value.retryable


def _question(model: str) -> SampleRequest:
    return SampleRequest(model=model, messages=[{"role": "user", "content": "x"}])
