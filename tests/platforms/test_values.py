"""Published and observed JSON shapes, catalogue dates, embeddings, the Retry-After header."""

from __future__ import annotations

import math
import threading
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx2
import numpy as np
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_project.platforms import PLATFORMS, PlatformError, adapter, build, catalogue
from rft_project.platforms.openai_errors import translate
from rft_project.platforms.openai_metrics import result_events
from rft_project.platforms.openai_values import checkpoint_of, event_of, sample_of, status_of
from rft_project.platforms.static_embeddings import DIMENSIONS, embed
from rft_project.platforms.types import Access, State

#: Keys of a metric event, for making strange ones.
KEYS = ["step", "scores", "graders", "usage", "samples", "errors", "timing", "full_iteration", "train_reward_mean"]
KEYS += ["name", "train_other_error_count", "train_prompt_tokens_mean", "train_prompt_tokens_count", "results"]
KEYS += ["model_graders_token_usage", "flagged", "category", "blocked", "sampling", "train_mean_reward"]

#: A metric event as the reinforcement fine-tuning guide shows it, shortened.
PUBLISHED = {
    "id": "ftevent-1",
    "object": "fine_tuning.job.event",
    "created_at": 1750000000,
    "level": "info",
    "message": "Step 10/20 , train mean reward=0.42, full validation mean reward=0.68",
    "type": "metrics",
    "data": {
        "step": 10,
        "total_steps": 20,
        "scores": {
            "train_reward_mean": 0.42,
            "valid_reward_mean": 0.68,
            "graders": [{"name": "label", "type": "string_check", "train_reward_mean": 0.4, "valid_reward_mean": 0.7}],
        },
        "usage": {"samples": {"train_reasoning_tokens_mean": 3330.0}},
        "errors": {
            "graders": [{"name": "label", "train_other_error_count": 2, "train_other_error_mean": 0.1},
                        {"name": "why", "train_sample_parse_error_count": 1}]
        },
        "timing": {"step": {"sampling": 227.0, "training": 402.0, "eval": 102.0, "full_iteration": 731.0}},
    },
}  # fmt: skip


def test_the_published_metric_event() -> None:
    event = event_of(PUBLISHED)
    assert (event.id, event.at, event.step, event.total_steps) == ("ftevent-1", 1750000000.0, 10, 20)
    assert event.metrics == {
        "train_reward": 0.42,
        "valid_reward": 0.68,
        "reward:label": 0.4,
        "valid_reward:label": 0.7,
        "reasoning_tokens": 3330.0,
        "seconds": 731.0,
        "errors": 3.0,
    }


def test_judge_tokens_are_counted_whole() -> None:
    """Mean times count of every judge and part; older events carry the sums."""
    judges = [
        {"name": "a", "train_prompt_tokens_mean": 10.0, "train_prompt_tokens_count": 3, "valid_prompt_tokens_mean": 5,
         "valid_prompt_tokens_count": 2, "train_completion_tokens_mean": 4, "train_completion_tokens_count": 3},
        {"name": "b", "train_prompt_tokens_mean": 1.5, "train_prompt_tokens_count": 2},
    ]  # fmt: skip
    found = event_of({**PUBLISHED, "data": {"usage": {"graders": judges}}}).metrics
    assert found == {"judge_prompt_tokens": 43.0, "judge_completion_tokens": 12.0}
    older = {"m": {"train_prompt_tokens": 7, "eval_prompt_tokens": 2, "train_completion_tokens": 1}}
    found = event_of({**PUBLISHED, "data": {"model_graders_token_usage": older}}).metrics
    assert found == {"judge_prompt_tokens": 9.0, "judge_completion_tokens": 1.0}


def test_seconds_of_a_step_are_added_up_where_no_sum_is_told() -> None:
    parts = {"sampling": 2.0, "training": 3.5, "eval": 1.0}
    assert event_of({**PUBLISHED, "data": {"timing": {"step": parts}}}).metrics == {"seconds": 6.5}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=8), st.text(max_size=30))
def test_no_event_is_too_strange(data: dict, message: str) -> None:
    """Whatever comes, every value is a number that can be drawn and stored."""
    for kind in ("metrics", "moderation_checks"):
        event = event_of({**PUBLISHED, "type": kind, "data": data, "message": message})
        assert all(math.isfinite(value) for value in event.metrics.values())


@given(st.binary(max_size=300) | st.text(alphabet='step,tranwdvlimeu_\n0123456789."', max_size=200).map(str.encode))
def test_no_result_file_is_too_strange(content: bytes) -> None:
    events = result_events(b"step,train_mean_reward\n" + content, "file-1", 5.0)
    assert [event.step for event in events] == sorted({event.step for event in events})
    assert all(math.isfinite(value) for event in events for value in event.metrics.values())


def test_older_flat_names() -> None:
    data = {
        "step": 1,
        "total_steps": 2,
        "train_mean_reward": 0.1,
        "full_valid_mean_reward": 0.2,
        "completion_tokens_mean": 9,
    }
    event = event_of({**PUBLISHED, "data": data})
    assert event.metrics == {"train_reward": 0.1, "valid_reward": 0.2, "answer_tokens": 9.0}


def test_a_step_told_in_words_only() -> None:
    event = event_of({**PUBLISHED, "type": "message", "data": None})
    assert (event.step, event.total_steps, event.metrics) == (10, 20, {"train_reward": 0.42, "valid_reward": 0.68})


@pytest.mark.parametrize(
    "data", [None, {}, [], "text", {"scores": None}, {"scores": {"train_reward_mean": float("nan")}}]
)
def test_events_without_usable_data_are_log_lines(data) -> None:
    event = event_of({**PUBLISHED, "message": "Moderation checks passed", "level": "warn", "data": data})
    assert (event.level, event.step, event.metrics) == ("warning", None, {})


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("validating_files", State.QUEUED),
        ("queued", State.QUEUED),
        ("running", State.RUNNING),
        ("pausing", State.RUNNING),
        ("paused", State.PAUSED),
        ("succeeded", State.SUCCEEDED),
        ("failed", State.FAILED),
        ("cancelled", State.CANCELLED),
        ("something new", State.RUNNING),
    ],
)
def test_status_words(word: str, state: State) -> None:
    status = status_of({"id": "j", "status": word, "fine_tuned_model": "", "error": None})
    assert (status.state, status.word, status.model, status.detail) == (state, word, None, "")


def test_checkpoints() -> None:
    metrics = {"step": 4, "train_mean_reward": 0.5, "full_valid_mean_reward": 0.6, "note": "x", "train_loss": None}
    raw = {"id": "c", "fine_tuned_model_checkpoint": "ft:m:ckpt-step-4", "step_number": 4, "metrics": metrics}
    found = checkpoint_of(raw)
    assert (found.model, found.step, found.metrics) == (
        "ft:m:ckpt-step-4",
        4,
        {"train_reward": 0.5, "valid_reward": 0.6},
    )


def test_samples_with_tool_calls() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    choices = [
        {"index": 1, "message": {"content": "second"}, "finish_reason": "length"},
        {"index": 0, "message": {"content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"},
    ]
    sample = sample_of({"choices": choices, "usage": {"prompt_tokens": 3, "completion_tokens": 4}}, 0.5)
    assert [(a.text, a.tool_calls, a.finish_reason) for a in sample.answers] == [
        ("", [call], "tool_calls"),
        ("second", [], "length"),
    ]
    assert (sample.usage.prompt_tokens, sample.usage.completion_tokens, sample.seconds) == (3, 4, 0.5)


# Errors


def status_error(status: int, body: object = None, headers: dict[str, str] | None = None) -> openai.APIStatusError:
    request = httpx2.Request("POST", "http://127.0.0.1/v1")
    response = httpx2.Response(status, headers=headers, request=request)
    return openai.APIStatusError("raw", response=response, body=body)


def said(error: Exception, **options: object) -> PlatformError:
    return translate(error, platform="OpenAI", doing="sampling", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry-after": "12"}, 12.0), ({"retry-after-ms": "250"}, 0.25), ({"retry-after": "soon"}, None), ({}, None),
     ({"retry-after": "-1"}, None), ({"retry-after": "inf"}, None)],
)  # fmt: skip
def test_retry_after(headers, seconds) -> None:
    assert said(status_error(429, headers=headers)).retry_after == seconds


def test_retry_after_as_a_date() -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 50 < said(status_error(429, headers={"retry-after": moment})).retry_after <= 60


def test_words_are_one_bounded_line_without_the_secret() -> None:
    body = {"message": "bad key sk-1\nline two " + "x" * 1000}
    sentence = str(said(status_error(400, body), secret="sk-1"))
    assert sentence.startswith("OpenAI refused: bad key … line two xxx")
    assert "\n" not in sentence
    assert len(sentence) < 350
    assert str(said(status_error(400))) == "OpenAI refused: it gave no reason."


# Registry and catalogue


def test_every_platform_can_be_built() -> None:
    addresses = {
        "local": {"base_url": "https://models.example.org/v1"},
        "openai": {"api_key": "k"},
        "azure": {"api_key": "k", "endpoint": "https://models.example.org"},
        "bedrock": {"region": "us-east-1"},
        "bedrock_openai": {"region": "us-west-2", "api_key": "k"},
        "compatible": {"base_url": "https://models.example.org/v1"},
    }
    assert list(PLATFORMS) == list(addresses)
    for kind, (label, _) in PLATFORMS.items():
        made = adapter(kind)
        assert (made.kind, made.label) == (kind, label)
        assert build(kind, addresses[kind]).kind == kind
    with pytest.raises(PlatformError, match="There is no platform “mars”; known are local, openai, azure, bedrock, "):
        build("mars", {})


def test_openai_needs_a_key() -> None:
    with pytest.raises(PlatformError, match="The credentials for OpenAI are not usable: api_key"):
        build("openai", {})


def test_models_retire_on_their_day() -> None:
    def access(day: str) -> Access:
        (model,) = catalogue.entry("openai", date.fromisoformat(day)).models
        return model.access

    assert access("2026-10-22") is Access.EXISTING
    assert access("2026-10-23") is Access.RETIRED


def test_nobody_trains_on_openai_after_the_end() -> None:
    found = catalogue.entry("openai")
    assert found.trains_until == "2027-01-05"
    assert "6 January 2027" in found.notice
    late = catalogue.entry("openai", date(2027, 1, 6))
    assert {model.access for model in late.models} == {Access.RETIRED}


def test_an_accounts_own_list_wins() -> None:
    listed = {"o4-mini-2025-04-16": {"shutdown_date": "2099-01-01"}}
    (model,) = catalogue.merged("openai", listed, date(2026, 11, 25))
    assert (model.access, model.retires, model.trains_until) == (Access.EXISTING, "2099-01-01", "2027-01-05")
    assert [m.access for m in catalogue.merged("openai", {}, date(2026, 6, 1))] == [Access.RETIRED]
    assert [m.access for m in catalogue.merged("openai", {"o4-mini-2025-04-16": {}}, date(2026, 6, 1))] == ["existing"]


def test_existing_customers_train_a_model_for_longer_than_it_is_served() -> None:
    def access(day: date) -> Access:
        return {m.id: m.access for m in catalogue.entry("azure", day).models}["o4-mini-2025-04-16"]

    assert access(date(2026, 11, 25)) is Access.EXISTING
    assert access(date(2027, 4, 15)) is Access.EXISTING
    assert access(date(2027, 4, 16)) is Access.RETIRED


@pytest.mark.parametrize(
    ("day", "left"), [(date(2027, 4, 14), 2), (date(2027, 4, 15), 1), (date(2027, 4, 16), 0), (date(2028, 1, 1), 0)]
)
def test_days_left_count_today(day: date, left: int) -> None:
    assert catalogue.days_left(catalogue.entry("azure").models[0], day) == left
    assert catalogue.days_left(catalogue.entry("bedrock").models[0], day) is None


def test_an_operators_prices_stand_over_the_catalogues() -> None:
    (model,) = catalogue.entry("openai").models
    assert (model.usd_per_hour, model.price_as_of) == (100.0, "2026-11-22")
    priced = catalogue.with_prices(model, {"usd_per_hour": 80.0}, as_of="2026-12-01", source="Our contract.")
    assert (priced.usd_per_hour, priced.price_as_of, priced.price_source) == (80.0, "2026-12-01", "Our contract.")
    assert catalogue.with_prices(model, {}, as_of="", source="") == model
    with pytest.raises(KeyError, match="label"):
        catalogue.with_prices(model, {"label": 1.0}, as_of="", source="")


@pytest.mark.parametrize("kind", ["local", "openai", "azure", "bedrock", "bedrock_openai"])
def test_every_entry_is_dated_and_says_what_it_rests_on(kind: str) -> None:
    found = catalogue.entry(kind)
    assert found.sources
    assert found.needs
    assert found.summary.endswith(".")
    assert max(date.fromisoformat(s.as_of) for s in found.sources) <= date.fromisoformat(found.as_of) <= date.today()
    for model in found.models:
        known = [name for name in catalogue.PRICES if getattr(model, name) is not None]
        assert bool(known) == bool(model.price_as_of) == bool(model.price_source)
        for day in (model.retires, model.trains_until, model.serves_until, model.price_as_of):
            assert not day or date.fromisoformat(day)
        assert all(sentence.endswith(".") for sentence in [model.summary, *model.needs, *found.needs])
        settings = {**model.hyperparameters, **model.options, **model.deploy_options}
        assert model.platform == "local" or settings
        assert all(bound.help.endswith(".") and bound.label for bound in settings.values())
        assert all(bound.default in bound.choices for bound in settings.values() if bound.choices)


def test_no_price_is_made_up() -> None:
    """AWS's pages name none, and neither do Microsoft's for the models in preview."""
    for kind in ("bedrock", "bedrock_openai"):
        for model in catalogue.entry(kind).models:
            idle = 0.0 if kind == "bedrock" else None  # a deployment there is paid by use, as AWS writes
            assert [getattr(model, name) for name in catalogue.PRICES] == [None] * 4 + [idle]
    priced = [model.id for model in catalogue.entry("azure").models if model.price_as_of]
    assert priced == ["o4-mini-2025-04-16"]


def test_a_model_nobody_can_deploy_here_offers_no_choices_for_it() -> None:
    models = {model.id: model for model in catalogue.entry("azure").models}
    assert [m.id for m in models.values() if not m.deploy_options] == [
        m.id for m in models.values() if not m.deployable
    ]
    assert list(models["gpt-5-2025-08-07"].options["trainingType"].choices) == ["standard", "globalStandard"]
    assert list(models["MAI-Code-1.1-Flash"].deploy_options) == ["sku", "capacity"]


def test_local_models_are_described_for_what_they_are() -> None:
    models = {model.id: model for model in catalogue.entry("local").models}
    assert list(models) == ["smollm2-135m-instruct", "classifier"]
    assert "not knowledge" in models["smollm2-135m-instruct"].summary
    assert "no language model" in models["classifier"].summary


# Static embeddings


def test_embeddings_are_unit_vectors_and_empty_text_is_zero() -> None:
    vectors = embed(["a card was lost", "", "\ud800 broken"])
    assert (vectors.shape, vectors.dtype) == ((3, DIMENSIONS), np.float32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1], atol=1e-6)
    assert embed([]).shape == (0, DIMENSIONS)


def test_near_in_meaning_is_near() -> None:
    lost, stolen, weather = embed(["I lost my credit card", "my bank card was stolen", "it will rain tomorrow"])
    assert lost @ stolen > lost @ weather + 0.2


def test_embeddings_equal_the_librarys_own(tmp_path: Path) -> None:
    """Its loader finds its files only in a cache folder, so the test makes one."""
    import wordllama

    package = Path(wordllama.__file__).parent
    for name in ("weights", "tokenizers"):
        (tmp_path / name).symlink_to(package / name)
    library = wordllama.WordLlama.load(cache_dir=tmp_path, disable_download=True)
    texts = ["Where is my order?", "Stop charging me!", "ÄÖÜ 漢字 emoji-free", "a " * 300]
    assert np.allclose(embed(texts), library.embed(texts, norm=True), atol=1e-6)


def test_many_threads_may_embed() -> None:
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(embed(["the same text"] * 20))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(one, found[0]) for one in found)
    assert len(found) == 8
