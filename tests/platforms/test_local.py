"""The local adapter against the real engine."""

from __future__ import annotations

from typing import Any

import pytest

from rft_project.platforms import Platform, PlatformError, build
from tests.engine.process import LABELS, SLOW, Engine
from tests.platforms.contract import PlatformContract


class TestLocal(PlatformContract):
    kind = "local"
    model = base = "classifier"
    allowed = LABELS
    short = {"steps": 60, "eval_interval": 10}
    long = SLOW

    @pytest.fixture
    def credentials(self, engine: Engine) -> dict[str, Any]:
        return engine.credentials

    def test_the_catalogue_says_what_the_models_are(self, platform: Platform) -> None:
        models = {model.id: model for model in platform.capabilities().models}
        assert models["classifier"].summary.startswith("A classifier, no language model")
        assert models["classifier"].needs_allowed_answers is True
        assert models["classifier"].hyperparameters["steps"].default == 300
        assert models["classifier"].usd_per_hour == 0
        assert "static" not in models

    def test_progress_is_in_the_status(self, platform: Platform, request_for) -> None:
        handle = platform.start_training(request_for(hyperparameters={"steps": 7}))
        status = self.finished(platform, handle)
        assert (status.step, status.total_steps) == (7, 7)

    def test_flat_share_and_entropy_are_series(self, platform: Platform, request_for) -> None:
        handle = platform.start_training(request_for())
        self.finished(platform, handle)
        last = [event for event in platform.events(handle).events if event.metrics][-1]
        assert {"flat_share", "entropy", "answer_tokens"} <= set(last.metrics)

    def test_a_wrong_key_is_named_as_the_trouble(self, engine: Engine) -> None:
        with pytest.raises(PlatformError) as refusal:
            build("local", {"base_url": engine.url, "api_key": "wrong-key"}).check()
        assert refusal.value.status == 401
        assert str(refusal.value).startswith("Local engine does not accept the key: ")
        assert "wrong-key" not in str(refusal.value)

    def test_a_seed_repeats_the_answers(self, platform: Platform) -> None:
        asked = self.ask("classifier", "hello", n=12, seed=4)
        assert platform.sample(asked).answers == platform.sample(asked).answers
