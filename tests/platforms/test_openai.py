"""The OpenAI adapter against a strict loopback emulator: the contract, the faults, the things only OpenAI does."""

from __future__ import annotations

from typing import Any

import openai as sdk
import pytest

from rft_project.platforms import Platform, PlatformError, Unknown, build
from rft_project.platforms.openai import OpenAICredentials, OpenAIPlatform
from rft_project.platforms.types import Access, SampleRequest
from tests.emulators import openai
from tests.emulators.openai import Fault, OpenAIEmulator
from tests.platforms.contract import MULTI, PlatformContract

JOBS = "/fine_tuning/jobs"


class TestOpenAI(PlatformContract):
    kind = "openai"
    model = openai.TRAINABLE
    base = openai.CHAT
    short = {"n_epochs": 12, "reasoning_effort": "low"}
    long = {"n_epochs": 50}

    @pytest.fixture
    def credentials(self, emulator: OpenAIEmulator) -> dict[str, Any]:
        emulator.step_seconds = 0.02
        return emulator.credentials

    # Paid work is started once

    @pytest.mark.parametrize("kind", ["500-after", "drop-after", "broken-json"])
    def test_a_start_that_ends_unclearly_makes_one_job(self, platform, emulator, request_for, kind) -> None:
        emulator.faults = [Fault("POST", JOBS, kind)]
        request = request_for()
        handle = platform.start_training(request)
        assert platform.start_training(request) == handle
        assert len(emulator.jobs) == 1
        assert emulator.count("POST", JOBS) == 1

    @pytest.mark.parametrize("kind", ["500-after", "drop-after", "broken-json", 502, "drop", 409])
    def test_unclear_starts_are_unknown_until_the_job_is_seen(self, platform, emulator, request_for, kind) -> None:
        """The list lags behind: the lookup after the failure does not see the job yet."""
        emulator.list_lag = 1
        emulator.faults = [Fault("POST", JOBS, kind)]
        request = request_for()
        with pytest.raises(Unknown) as failure:
            platform.start_training(request)
        assert failure.value.retryable
        emulator.list_lag = 0
        handle = platform.start_training(request)
        assert platform.find_training(request.key) == handle
        assert len(emulator.jobs) == 1

    def test_unknown_stays_unknown_when_the_lookup_fails_too(self, platform, emulator, request_for) -> None:
        emulator.faults = [Fault("GET", JOBS, 503, skip=1), Fault("POST", JOBS, "500-after")]
        request = request_for()
        with pytest.raises(Unknown):
            platform.start_training(request)
        assert emulator.faults == []
        assert platform.start_training(request) == platform.find_training(request.key)
        assert len(emulator.jobs) == 1

    def test_a_hanging_start_is_unknown_and_found_later(self, emulator, request_for) -> None:
        credentials = OpenAICredentials.model_validate(emulator.credentials)
        impatient = OpenAIPlatform(credentials, call_timeout=0.5)
        emulator.list_lag = 1
        emulator.faults = [Fault("POST", JOBS, "hang")]
        request = request_for()
        with pytest.raises(Unknown, match="did not answer in time while starting training"):
            impatient.start_training(request)
        assert impatient.start_training(request) == impatient.find_training(request.key)
        assert len(emulator.jobs) == 1

    @pytest.mark.parametrize("status", [401, 403, 429])
    def test_a_refused_start_is_not_unknown(self, platform, emulator, request_for, status) -> None:
        emulator.faults = [Fault("POST", JOBS, status, {"retry-after": "7"})]
        with pytest.raises(PlatformError) as refusal:
            platform.start_training(request_for())
        assert not isinstance(refusal.value, Unknown)
        assert refusal.value.status == status
        assert refusal.value.retryable is (status == 429)
        assert refusal.value.retry_after == (7.0 if status == 429 else None)
        assert emulator.jobs == {}

    def test_a_second_start_uses_the_first_ones_files(self, platform, emulator, request_for) -> None:
        emulator.faults = [Fault("POST", JOBS, 503)]
        request = request_for()
        with pytest.raises(Unknown):
            platform.start_training(request)
        platform.start_training(request)
        assert emulator.count("POST", "/files") == 2
        assert len(emulator.files) == 2

    # Errors in the platform's own words

    def test_closed_to_this_organization(self, platform, emulator, request_for) -> None:
        """The way out first, then the platform's own words; nothing was started."""
        emulator.closed = True
        with pytest.raises(PlatformError) as refusal:
            platform.start_training(request_for())
        assert str(refusal.value) == (
            "OpenAI no longer lets your organization start fine-tuning jobs; train the same run on this machine's "
            f"engine, Azure or Bedrock. OpenAI does not allow this: {openai.CLOSED}."
        )
        assert (refusal.value.status, refusal.value.retryable) == (403, False)
        assert emulator.jobs == {}

    def test_other_refusals_of_a_start_keep_their_words(self, platform, emulator, request_for) -> None:
        words = "Your project may not use fine-tuning."
        emulator.faults = [Fault("POST", JOBS, 403, message=words, code="forbidden")]
        with pytest.raises(PlatformError) as refusal:
            platform.start_training(request_for())
        assert (str(refusal.value), refusal.value.code) == (f"OpenAI does not allow this: {words}", "forbidden")

    def test_the_key_is_never_repeated(self, emulator) -> None:
        with pytest.raises(PlatformError) as refusal:
            build("openai", {**emulator.credentials, "api_key": "sk-wrong-and-secret"}).check()
        assert str(refusal.value) == "OpenAI does not accept the key: Incorrect API key provided: …."
        assert refusal.value.status == 401

    @pytest.mark.parametrize(
        "kind", [500, 503, 408, 409, "drop", "drop-after", "cut", "broken-json", "not-json", "huge-json"]
    )
    def test_reads_that_fail_may_be_tried_again(self, platform, emulator, kind) -> None:
        emulator.faults = [Fault("GET", "/models", kind)]
        with pytest.raises(PlatformError) as failure:
            platform.check()
        assert failure.value.retryable
        assert not isinstance(failure.value, Unknown)
        assert platform.check() is None

    @pytest.mark.parametrize(
        ("kind", "sentence"),
        [
            ("huge-json", "OpenAI sent an answer that is too long to be read while listing models."),
            ("not-json", "OpenAI sent an answer that can't be read while listing models."),
            ("cut", "The connection to OpenAI broke while listing models."),
            (503, "OpenAI failed while listing models (HTTP 503): An error was injected."),
        ],
    )
    def test_what_went_wrong_is_one_sentence(self, platform, emulator, kind, sentence) -> None:
        emulator.faults = [Fault("GET", "/models", kind)]
        with pytest.raises(PlatformError) as failure:
            platform.check()
        assert str(failure.value) == sentence

    def test_a_used_up_quota_is_not_waited_for(self, platform, emulator) -> None:
        emulator.faults = [Fault("POST", "/chat", 429, message="You exceeded your quota.", code="insufficient_quota")]
        with pytest.raises(PlatformError, match=r"You exceeded your quota\.") as refusal:
            platform.sample(self.ask(openai.CHAT, "x"))
        assert not refusal.value.retryable

    def test_redirects_are_not_followed(self, platform, emulator) -> None:
        with openai.running() as other:
            emulator.faults = [Fault("POST", "/chat", "redirect", {"location": f"{other.url}/chat/completions"})]
            with pytest.raises(PlatformError, match="answered with a redirect, which is not followed") as refusal:
                platform.sample(self.ask(openai.CHAT, "private"))
            assert not refusal.value.retryable
            assert other.requests == []

    def test_the_sdk_does_not_retry_by_itself(self, platform, emulator) -> None:
        emulator.faults = [Fault("POST", "/chat", 500)]
        with pytest.raises(PlatformError):
            platform.sample(self.ask(openai.CHAT, "x"))
        assert emulator.count("POST", "/chat/completions") == 1

    # What only OpenAI does

    def test_a_row_in_both_files_is_named_before_anything_is_uploaded(self, platform, emulator, request_for) -> None:
        request = request_for()
        both = request.model_copy(update={"valid_rows": [*request.valid_rows, request.train_rows[0]]})
        with pytest.raises(PlatformError) as refusal:
            platform.start_training(both)
        assert str(refusal.value) == (
            "1 row to check with is also among those to train on, which OpenAI refuses; split the records again."
        )
        assert emulator.files == {}

    def test_system_prompts_go_out_as_developer(self, platform, emulator, request_for) -> None:
        platform.start_training(request_for())
        sent = b"".join(content for _, content in emulator.files.values())
        assert b'"role": "developer"' in sent
        assert b'"role": "system"' not in sent
        assert emulator.problems == []

    def test_reasoning_models_give_one_answer_at_a_time(self, platform, emulator) -> None:
        sample = platform.sample(SampleRequest(model=openai.TRAINABLE, messages=[_user("x")], n=3, seed=1))
        assert len(sample.answers) == 3
        assert emulator.count("POST", "/chat/completions") == 4
        assert sample.usage.completion_tokens == 3 * (8 + len(sample.answers[0].text) // 4 + 1)

    def test_answers_that_are_paid_for_are_kept_where_one_call_fails_for_a_moment(self, platform, emulator) -> None:
        emulator.faults.append(Fault("POST", "/chat/completions", 503, skip=2))
        sample = platform.sample(SampleRequest(model=openai.TRAINABLE, messages=[_user("x")], n=3, seed=1))
        assert len(sample.answers) == 3
        assert emulator.count("POST", "/chat/completions") == 5  # three at once, then one by one, the second twice

    def test_how_long_a_model_thinks_is_said_to_models_that_think(self, platform, emulator) -> None:
        tokens = {}
        for effort in ("low", "high"):
            request = SampleRequest(model=openai.TRAINABLE, messages=[_user("x")], reasoning_effort=effort)
            tokens[effort] = platform.sample(request).usage.completion_tokens
        assert tokens["high"] > tokens["low"]
        assert platform.sample(SampleRequest(model=openai.CHAT, messages=[_user("x")], reasoning_effort="low")).answers
        assert emulator.problems == []

    def test_capabilities_follow_the_account(self, platform, emulator) -> None:
        models = {model.id: model for model in platform.capabilities().models}
        assert platform.capabilities().pause is True
        assert models[openai.TRAINABLE].access is Access.EXISTING
        assert models[openai.TRAINABLE].retires == "2099-01-01"
        assert (models[openai.CHAT].method, models[openai.CHAT].hyperparameters) == ("sample", {})
        assert openai.EMBEDDING not in models
        emulator.models[openai.TRAINABLE][0]["shutdown_date"] = "2026-10-23"
        found = platform.capabilities()
        assert [m.access for m in found.models if m.id == openai.TRAINABLE] == [Access.RETIRED]
        assert found.train is False
        del emulator.models[openai.TRAINABLE]
        assert platform.capabilities().train is False

    def test_a_multi_grader_comes_back_as_it_was_sent(self, platform: Platform, emulator, request_for) -> None:
        """Which the SDK's own types do not tell: they take the map of graders for one grader."""
        handle = platform.start_training(request_for(grader=MULTI))
        assert platform.training(handle).raw["method"]["reinforcement"]["grader"] == MULTI
        typed = sdk.OpenAI(base_url=emulator.url, api_key=emulator.key).fine_tuning.jobs.retrieve(handle.id)
        assert type(typed.method.reinforcement.grader).__name__ == "StringCheckGrader"

    def test_unknown_status_words_are_shown_as_they_are(self, platform: Platform, emulator, request_for) -> None:
        handle = platform.start_training(request_for(hyperparameters=self.long))
        emulator.jobs[handle.id]["status"] = "reticulating"
        status = platform.training(handle)
        assert (status.state.value, status.word) == ("running", "reticulating")

    def test_failures_are_told_in_the_platforms_words(self, platform: Platform, emulator, request_for) -> None:
        handle = platform.start_training(request_for(hyperparameters=self.long))
        error = {"code": "invalid_training_file", "message": "The file was flagged.", "param": "training_file"}
        emulator.jobs[handle.id] |= {"status": "failed", "error": error}
        assert platform.training(handle).detail == "The file was flagged."

    def test_the_environment_is_not_read(self, emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
            monkeypatch.setenv(name, "org-of-the-operator")
        build("openai", {**emulator.credentials, "organization": "org-mine"}).check()
        assert emulator.headers[-1]["openai-organization"] == "org-mine"
        assert "openai-project" not in emulator.headers[-1]

    def test_cookies_do_not_go_from_one_account_to_the_next(self, emulator) -> None:
        for _ in range(2):
            build("openai", emulator.credentials).check()
        assert "cookie" not in emulator.headers[-1]


# Webhook secrets


@pytest.mark.parametrize("secret", ["whsec_", "whsec_short", "sk-abc", "whsec_" + "ü" * 30])
def test_a_signing_secret_that_signs_nothing_is_refused(emulator: OpenAIEmulator, secret: str) -> None:
    with pytest.raises(PlatformError) as refusal:
        build("openai", {**emulator.credentials, "webhook_secret": secret})
    assert str(refusal.value) == (
        "The credentials for OpenAI are not usable: webhook_secret: a signing secret begins with whsec_ and is copied "
        "whole."
    )


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}
