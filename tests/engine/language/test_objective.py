"""The gradient equals that of a slow, plain loop over every answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.language.tiny import user

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from rft_project.engine.language.loading import plain_attention  # noqa: E402
from rft_project.engine.language.model import LanguageModel  # noqa: E402
from rft_project.engine.language.objective import Group, accumulate_gradient, advantages, common_prefix  # noqa: E402
from tests.engine.language.test_model import shake  # noqa: E402

#: Per prompt its answers; some alike, some of one token, uneven lengths, 1 is the end token.
ANSWERS = {
    "one two three": [[10, 1], [10, 1], [11, 12, 13, 1], [1]],
    "why": [[7, 8, 9, 10, 11, 12], [7, 8, 9, 10, 11, 13], [5, 1], [10, 1]],
    "why money why card the a b c d e": [[14, 1]] * 4,
    "a b": [[20, 1], [21, 1], [20, 1], [22, 23, 24]],
}
REWARDS = [[1.0, 1.0, 0.1, 0.0], [0.3, 0.7, 0.0, 0.5], [0.4] * 4, [0.0, 1.0, 0.0, 0.05]]


@pytest.fixture
def model(tiny_folder: Path) -> LanguageModel:
    model = LanguageModel(tiny_folder)
    model.new_adapter("p", rank=3, alpha=6.0, seed=1)
    shake(model, "p")
    return model


def make_groups(model: LanguageModel, rewards: list[list[float]] = REWARDS) -> list[Group]:
    return [
        Group(model.encode(user(text)), answers, advantages(scores))
        for (text, answers), scores in zip(ANSWERS.items(), rewards, strict=True)
    ]


def gradient(model: LanguageModel) -> torch.Tensor:
    found = [p.grad for p in model.adapter_parameters("p").values()]
    for parameter in model.adapter_parameters("p").values():
        parameter.grad = None
    return torch.cat([torch.zeros(0) if g is None else g.flatten() for g in found])


def plain_gradient(
    model: LanguageModel, groups: list[Group], tokens: int, temperature: float, entropy_bonus: float
) -> torch.Tensor:
    """Every answer in the padded batch of its prompt, transformers' own attention and mask."""
    with plain_attention(model.network):
        for group in groups:
            width = max(len(a) for a in group.answers)
            rows = torch.tensor([[*group.prompt, *a, *[1] * (width - len(a))] for a in group.answers])
            mask = torch.tensor([[1] * (len(group.prompt) + len(a)) + [0] * (width - len(a)) for a in group.answers])
            logits = model.network(input_ids=rows, attention_mask=mask, use_cache=False).logits
            loss = torch.zeros(())
            for row, answer, advantage in zip(logits, group.answers, group.advantages, strict=True):
                for place, token in enumerate(answer):
                    log_p = (row[len(group.prompt) - 1 + place] / temperature).log_softmax(-1)
                    entropy = -(log_p.exp() * log_p).sum()
                    loss = loss - (advantage * log_p[token] + entropy_bonus * entropy) / tokens
            loss.backward()
    return gradient(model)


@pytest.mark.parametrize(("temperature", "entropy_bonus"), [(1.0, 0.0), (1.0, 0.02), (0.7, 0.05)])
@pytest.mark.parametrize("slice_bytes", [1e9, 1.0])
def test_gradient_equals_the_plain_reference(
    model: LanguageModel, temperature: float, entropy_bonus: float, slice_bytes: float
) -> None:
    groups = make_groups(model)
    tokens = sum(len(a) for g in groups for a in g.answers)
    expected = plain_gradient(model, groups, tokens, temperature, entropy_bonus)
    accumulate_gradient(
        model, groups, tokens=tokens, temperature=temperature, entropy_bonus=entropy_bonus, slice_bytes=slice_bytes
    )
    found = gradient(model)
    assert float(expected.norm()) > 1e-2
    assert float((found - expected).norm() / expected.norm()) <= 1e-5


def test_one_prompt_alone_and_prompts_without_a_common_prefix(model: LanguageModel) -> None:
    first = make_groups(model)[0]
    other = Group([5, *first.prompt[3:9]], first.answers, first.advantages)
    for groups in ([first], [first, other]):
        expected = plain_gradient(model, groups, 10, 1.0, 0.01)
        accumulate_gradient(model, groups, tokens=10, entropy_bonus=0.01)
        assert float((gradient(model) - expected).norm() / expected.norm()) <= 1e-5
    assert common_prefix([first.prompt, other.prompt]) == 0


def test_flat_groups_can_be_left_out(model: LanguageModel) -> None:
    groups = make_groups(model)
    accumulate_gradient(model, groups, tokens=30)
    everything = gradient(model)
    accumulate_gradient(model, [groups[0], groups[1], groups[3]], tokens=30)
    without = gradient(model)
    assert float((everything - without).norm() / everything.norm()) <= 1e-6


def test_advantages_are_not_divided_by_the_deviation() -> None:
    assert advantages([1.0, 0.0, 0.0, 0.0]) == [0.75, -0.25, -0.25, -0.25]
    assert advantages([0.1, 0.0, 0.0, 0.1]) == pytest.approx([0.05, -0.05, -0.05, 0.05])


def test_nothing_to_learn_from_leaves_no_gradient(model: LanguageModel) -> None:
    accumulate_gradient(model, [], tokens=1)
    assert gradient(model).numel() == 0
