"""Signing in at Azure: by key and by identity, the shapes of credentials, and how strict the emulator is about both."""

from __future__ import annotations

import json

import httpx2
import pytest

from rft_project.platforms import Platform, PlatformError, build
from rft_project.platforms.azure import AzureCredentials
from tests.emulators.azure import AzureEmulator, Fault


@pytest.fixture
def emulator(azure_emulator: AzureEmulator) -> AzureEmulator:
    return azure_emulator


@pytest.fixture
def keyless(emulator: AzureEmulator) -> Platform:
    """Signed in with a managed identity, by the real azure-identity."""
    return build("azure", {**emulator.credentials, "api_key": ""})


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


def _data(emulator: AzureEmulator) -> list[dict[str, str]]:
    """Headers of the requests to the data plane."""
    return [h for (_, path), h in zip(emulator.requests, emulator.headers, strict=True) if path.startswith("/openai")]
