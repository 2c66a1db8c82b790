"""Sampling: greedy, distribution, limits, many prompts at once, adapters, prefixes kept between calls."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest

from rft_project.engine.base import Prompt
from rft_project.engine.language.policy import LanguagePolicy
from tests.engine.language.tiny import plain_network, user

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

TEXTS = ["one two three", "why", "why money why card the a b c d e", "one two three", "a b"]


@pytest.fixture(scope="module")
def policy(tiny_folder: Path) -> LanguagePolicy:
    return LanguagePolicy(tiny_folder, threads=1)


def adapter_folder(tiny_folder: Path, folder: Path) -> Path:
    from rft_project.engine.language.model import LanguageModel
    from tests.engine.language.test_model import shake

    model = LanguageModel(tiny_folder)
    model.new_adapter("a", rank=2, alpha=4.0, seed=1)
    shake(model, "a")
    folder.mkdir()
    model.save_adapter("a", folder)
    return folder


def plain_answer(network: torch.nn.Module, ids: list[int], limit: int) -> list[int]:
    """Greedy, one token at a time, by the plain model."""
    answer: list[int] = []
    while len(answer) < limit and answer[-1:] != [1]:
        logits = network(input_ids=torch.tensor([ids + answer])).logits[0, -1]
        answer.append(int(logits.argmax()))
    return answer


def test_greedy_equals_the_plain_model_for_a_mixed_list(tiny_folder: Path, policy: LanguagePolicy) -> None:
    model = policy._generation.model
    limits = [12, 3, 20, 12, 7]
    found = policy.generate([Prompt(user(t), 2, 0.0, n) for t, n in zip(TEXTS, limits, strict=True)])
    network = plain_network(tiny_folder)
    with torch.no_grad():
        expected = [plain_answer(network, model.encode(user(t)), n) for t, n in zip(TEXTS, limits, strict=True)]
    assert [[(a.text, a.tokens) for a in group] for group in found] == [
        [(model.decode(tokens), len(tokens))] * 2 for tokens in expected
    ]


def test_answers_are_drawn_from_the_models_distribution(tiny_folder: Path, policy: LanguagePolicy) -> None:
    """First token, and second token after the most frequent first, at T = 0.8: within four standard errors."""
    model, n = policy._generation.model, 4000
    from rft_project.engine.language.generation import sample_prompts
    from rft_project.engine.language.sampling import Draw

    prompts = [model.encode(user(t)) for t in TEXTS[:2]]
    draws = [Draw(n, 0.8, 2), Draw(3, 1.0, 2)]
    answers = sample_prompts(model, prompts, draws, torch.Generator().manual_seed(3)).tokens[0]
    network = plain_network(tiny_folder)

    def check(sampled: list[int], ids: list[int]) -> None:
        with torch.no_grad():
            p = (network(input_ids=torch.tensor([ids])).logits[0, -1] / 0.8).softmax(-1).tolist()
        seen = Counter(sampled)
        for token, expected in enumerate(p):
            error = math.sqrt(expected * (1 - expected) / len(sampled))
            assert abs(seen[token] / len(sampled) - expected) <= 4 * error + 1 / len(sampled)

    check([a[0] for a in answers], prompts[0])
    first = Counter(a[0] for a in answers if a[0] != 1).most_common(1)[0][0]
    check([a[1] for a in answers if a[0] == first], [*prompts[0], first])


def test_entropy_is_that_of_the_distributions_passed(tiny_folder: Path, policy: LanguagePolicy) -> None:
    from rft_project.engine.language.generation import sample_prompts
    from rft_project.engine.language.sampling import Draw

    model = policy._generation.model
    prompts = [model.encode(user(t)) for t in TEXTS[:3]]
    found = sample_prompts(model, prompts, [Draw(5, 1.3, 6)] * 3, torch.Generator().manual_seed(3))
    network, entropies = plain_network(tiny_folder), []
    for ids, group in zip(prompts, found.tokens, strict=True):
        for answer in group:
            with torch.no_grad():
                logits = network(input_ids=torch.tensor([ids + answer])).logits[0, len(ids) - 1 : -1] / 1.3
            entropies += torch.special.entr(logits.softmax(-1)).sum(-1).tolist()
    assert found.entropy == pytest.approx(sum(entropies) / len(entropies), abs=1e-4)


def test_answers_end_at_the_end_token_or_at_the_limit(policy: LanguagePolicy) -> None:
    (group,) = policy.generate([Prompt(user("why"), 300, 1.0, 5)], seed=1)
    assert {a.finish_reason for a in group} == {"stop", "length"}
    for answer in group:
        words = answer.text.split()
        if answer.finish_reason == "stop":
            assert answer.tokens <= 5 and len(words) <= answer.tokens - 1
        else:
            assert answer.tokens == 5
        assert "<|im_end|>" not in answer.text


def test_a_seed_decides_the_answers(policy: LanguagePolicy) -> None:
    prompts = [Prompt(user(t), 4, 1.0, 8) for t in TEXTS]
    first, again = policy.generate(prompts, seed=7), policy.generate(prompts, seed=7)
    assert first == again
    assert policy.generate(prompts, seed=8) != first
    assert policy.generate(prompts) != policy.generate(prompts)


def test_long_lists_are_sliced_without_a_trace(policy: LanguagePolicy) -> None:
    prompts = [Prompt(user(" ".join(["a", "b", "c"][: 1 + i % 3])), 30, 0.0, 4) for i in range(30)]
    found = policy.generate(prompts)
    assert found == [policy.generate([p])[0] for p in prompts]


def test_kept_prefixes_do_not_change_answers(tiny_folder: Path, policy: LanguagePolicy) -> None:
    conversation = user("one two three four a b c d")
    longer = [*conversation, {"role": "assistant", "content": "red"}, {"role": "user", "content": "why"}]
    calls = [[Prompt(conversation, 3, 1.0, 6)], [Prompt(longer, 3, 1.0, 6)], [Prompt(user("no"), 3, 1.0, 6)]]
    kept = [policy.generate(call, seed=2) for call in calls]
    fresh = [LanguagePolicy(tiny_folder, threads=1).generate(call, seed=2) for call in calls]
    assert kept == fresh


def test_a_tuned_model_shares_the_base(tiny_folder: Path, policy: LanguagePolicy, tmp_path: Path) -> None:
    prompts = [Prompt(user(t), 3, 1.0, 8) for t in TEXTS]
    base = policy.generate(prompts, seed=1)
    tuned = policy.with_adapter(adapter_folder(tiny_folder, tmp_path / "adapter"), id="mine")
    assert (tuned.id, policy.id) == ("mine", "tiny-llama")
    with_adapter = tuned.generate(prompts, seed=1)
    assert with_adapter != base
    assert policy.generate(prompts, seed=1) == base
    assert tuned.generate(prompts, seed=1) == with_adapter
    tuned.close()
    assert policy.generate(prompts, seed=1) == base
    with pytest.raises(AttributeError):
        tuned.generate(prompts, seed=1)


def test_requests_that_cannot_be_answered(policy: LanguagePolicy) -> None:
    count = policy.count_tokens(user("one two"))
    # Seven words of the system turn, two of the user's, three roles, five turn marks.
    assert count == 7 + 2 + 3 + 5
    with pytest.raises(
        ValueError, match=f"The prompt has {count} tokens; with 120 for the answer that is more than the"
    ):
        policy.generate([Prompt(user("one two"), 1, 1.0, 120)])
    with pytest.raises(ValueError, match="A request needs n and max_tokens of at least 1"):
        policy.generate([Prompt(user("one two"), 0, 1.0, 5)])
    assert policy.generate([]) == []
