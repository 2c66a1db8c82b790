"""The shared-prefix path gives what the plain model gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.engine.language.tiny import plain_network, user

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from rft_project.engine.language.attention import Packing, PrefixContext  # noqa: E402
from rft_project.engine.language.model import LanguageModel  # noqa: E402
from rft_project.engine.language.objective import common_prefix  # noqa: E402
from rft_project.engine.language.weights import ModelUnavailable  # noqa: E402

PROMPTS = ["one two three", "one two", "why money why card the a b c d e"]
#: (prompt, tokens): uneven numbers of answers a prompt and uneven lengths, out of order.
PATHS = [(2, [7, 8, 9]), (0, [10]), (2, [7, 8, 11, 12]), (1, [5, 6]), (0, [13, 14, 15, 16, 17])]


def shake(model: LanguageModel, name: str) -> None:
    """Gives an adapter an effect; new ones have none."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.adapter_parameters(name).values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)


def shared_log_probs(model: LanguageModel, packed: bool) -> list[torch.Tensor]:
    prompts = [model.encode(user(text)) for text in PROMPTS]
    shared = common_prefix(prompts)
    assert shared >= 10
    batch = model.read_prompts(prompts, model.read_prefix(prompts[0][:shared]))
    owner = torch.tensor([p for p, _ in PATHS])
    lengths = torch.tensor([len(t) for _, t in PATHS])
    context = PrefixContext(shared=batch.seen_by(owner))
    if packed:
        context.packing = Packing(lengths)
        ids = torch.tensor([[token for _, tokens in PATHS for token in tokens]])
        at = torch.cat([batch.lengths[p] + torch.arange(len(t)) for p, t in PATHS])[None]
        states = list(model.hidden(ids, at, context)[0].split(lengths.tolist()))
    else:
        width = int(lengths.max())
        ids = torch.tensor([t + [1] * (width - len(t)) for _, t in PATHS])
        at = batch.lengths[owner][:, None] + torch.arange(width)
        states = [row[:n] for row, n in zip(model.hidden(ids, at, context), lengths.tolist(), strict=True)]
    first = [batch.last[p][None] for p, _ in PATHS]
    return [model.logits(torch.cat([f, s])).log_softmax(-1) for f, s in zip(first, states, strict=True)]


def plain_log_probs(network: torch.nn.Module, model: LanguageModel) -> list[torch.Tensor]:
    found = []
    for prompt, tokens in PATHS:
        before = model.encode(user(PROMPTS[prompt]))
        logits = network(input_ids=torch.tensor([before + tokens])).logits[0]
        found.append(logits[len(before) - 1 :].log_softmax(-1))
    return found


@pytest.mark.parametrize("packed", [True, False])
def test_log_probabilities_equal_the_plain_forward(tiny_folder: Path, packed: bool) -> None:
    model = LanguageModel(tiny_folder)
    with torch.no_grad():
        ours, plain = shared_log_probs(model, packed), plain_log_probs(plain_network(tiny_folder), model)
    assert max(float((a - b).abs().max()) for a, b in zip(ours, plain, strict=True)) <= 1e-4


def test_a_known_prefix_is_continued_exactly(tiny_folder: Path) -> None:
    model = LanguageModel(tiny_folder)
    tokens = model.encode(user("one two three four a b c"))
    with torch.no_grad():
        whole = model.read_prefix(tokens)
        continued = model.read_prefix(tokens, model.read_prefix(tokens[:9]))
    for (k1, v1), (k2, v2) in zip(whole.layers, continued.layers, strict=True):
        assert torch.allclose(k1, k2, atol=1e-5) and torch.allclose(v1, v2, atol=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_saved_adapter_is_read_alike_by_peft(tiny_folder: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    model = LanguageModel(tiny_folder)
    model.new_adapter("new", rank=3, alpha=6.0, seed=1)
    shake(model, "new")
    model.save_adapter("new", tmp_path)
    theirs = PeftModel.from_pretrained(plain_network(tiny_folder), tmp_path).eval()
    with torch.no_grad():
        ours, plain = shared_log_probs(model, True), plain_log_probs(theirs, model)
        model.use(None)
        base = shared_log_probs(model, True)
    assert max(float((a - b).abs().max()) for a, b in zip(ours, plain, strict=True)) <= 1e-4
    assert max(float((a - b).abs().max()) for a, b in zip(ours, base, strict=True)) > 0.1
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["task_type"]) == (3, 6.0, "CAUSAL_LM")


def test_adapters_are_independent_and_the_base_stays(tiny_folder: Path, tmp_path: Path) -> None:
    first = LanguageModel(tiny_folder)
    base = shared_log_probs(first, True)
    first.new_adapter("a", rank=2, alpha=4.0, seed=1)
    shake(first, "a")
    first.save_adapter("a", tmp_path)
    with_a = shared_log_probs(first, True)
    second = LanguageModel(tiny_folder)
    second.load_adapter("x", tmp_path)
    second.new_adapter("y", rank=4, alpha=8.0, seed=2)
    shake(second, "y")
    for name, expected in [("x", with_a), (None, base), ("x", with_a)]:
        second.use(name)
        found = shared_log_probs(second, True)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    second.drop_adapter("y")
    second.use("x")
    assert all(torch.equal(a, b) for a, b in zip(shared_log_probs(second, True), with_a, strict=True))


def test_a_new_adapter_changes_nothing_and_depends_on_its_seed_only(tiny_folder: Path) -> None:
    model = LanguageModel(tiny_folder)
    base = shared_log_probs(model, True)
    model.new_adapter("a", rank=2, alpha=4.0, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(shared_log_probs(model, True), base, strict=True))
    torch.rand(3)
    model.new_adapter("b", rank=2, alpha=4.0, seed=1)
    a, b = model.adapter_parameters("a"), model.adapter_parameters("b")
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_adapter_of_another_base_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    from tests.engine.language.tiny import make_folder

    other = LanguageModel(make_folder(tmp_path / "other", hidden_size=16, intermediate_size=24))
    other.new_adapter("a", rank=2, alpha=4.0, seed=1)
    (tmp_path / "adapter").mkdir()
    other.save_adapter("a", tmp_path / "adapter")
    model = LanguageModel(tiny_folder)
    with pytest.raises(ModelUnavailable, match="The adapter in adapter was made for another base model"):
        model.load_adapter("a", tmp_path / "adapter")
    assert model.adapter_parameters("a") == {}
    with pytest.raises(ModelUnavailable, match="There is no adapter in nothing"):
        model.load_adapter("a", tmp_path / "nothing")


def test_model_with_attention_of_its_own_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, BloomConfig, BloomForCausalLM

    folder = tmp_path / "bloomy"
    BloomForCausalLM(BloomConfig(vocab_size=40, hidden_size=16, n_layer=1, n_head=2)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(folder)
    with pytest.raises(ModelUnavailable, match="bloomy can't be used here: it must be a causal language model of"):
        LanguageModel(folder)


@pytest.mark.parametrize("kind", ["Qwen2", "Qwen3", "Mistral"])
def test_relatives_of_llama_are_exact_too(tiny_folder: Path, tmp_path: Path, kind: str) -> None:
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        initializer_range=0.3,
        max_position_embeddings=96,
        sliding_window=64,
    )
    getattr(transformers, f"{kind}ForCausalLM")(config).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(tmp_path)
    model = LanguageModel(tmp_path)
    assert model.context == (64 if kind == "Mistral" else 96)
    with torch.no_grad():
        ours, plain = shared_log_probs(model, True), plain_log_probs(plain_network(tmp_path), model)
    assert max(float((a - b).abs().max()) for a, b in zip(ours, plain, strict=True)) <= 1e-4


def test_model_that_scales_its_scores_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, Gemma2Config, Gemma2ForCausalLM

    folder = tmp_path / "capped"
    config = Gemma2Config(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        initializer_range=1.0,
        final_logit_softcapping=1.0,
    )
    Gemma2ForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(folder)
    with pytest.raises(ModelUnavailable, match="capped can't be used here"):
        LanguageModel(folder)


def test_folder_without_chat_template_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(tiny_folder, tmp_path / "bare")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelUnavailable, match="bare has no chat template: choose an instruction-tuned model"):
        LanguageModel(folder)


def test_prompts_are_rendered_by_the_chat_template(tiny_folder: Path) -> None:
    model = LanguageModel(tiny_folder)
    turns = [
        {"role": "developer", "content": [{"type": "text", "text": "sort this"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "a", "arguments": "{}"}}]},
        {"role": "user", "content": "one two"},
    ]
    text = model.tokenizer.decode(model.encode(turns))
    # The template knows no tools, so the call is shown as text; the tiny vocabulary has no word for that.
    assert (
        text.split()
        == (
            "<|im_start|> system sort this <|im_end|> <|im_start|> assistant"
            + " <|unk|>" * 4
            + " <|im_end|> <|im_start|> user one two <|im_end|> <|im_start|> assistant"
        ).split()
    )
