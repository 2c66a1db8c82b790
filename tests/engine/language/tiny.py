"""A random Llama of two layers with a word tokenizer, made on the spot; nothing is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WORDS = [
    *("sort", "this", "please", "into", "red", "green", "blue", "one", "two", "three", "four"),
    *("a", "b", "c", "d", "e", "f", "the", "card", "money", "yes", "no", "why"),
]
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|unk|>"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|> {{ m.role }} {{ m.content }} <|im_end|> {% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant {% endif %}"
)


def make_folder(folder: Path, **changes: Any) -> Path:
    """Saves the model into ``folder``; ``changes`` to its config."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    names = [*SPECIAL, "system", "user", "assistant", *WORDS]
    core = Tokenizer(WordLevel({w: i for i, w in enumerate(names)}, unk_token="<|unk|>"))
    core.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", bos_token="<|im_start|>", unk_token="<|unk|>"
    )
    tokenizer.chat_template = TEMPLATE
    config = LlamaConfig(
        **{
            "vocab_size": len(names),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 128,
            "initializer_range": 0.25,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 1,
            "tie_word_embeddings": True,
        }
        | changes
    )
    with torch.random.fork_rng():
        torch.manual_seed(11)
        network = LlamaForCausalLM(config)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def user(text: str) -> list[dict[str, str]]:
    """A prompt that begins like all others."""
    return [{"role": "system", "content": "sort this please into red green blue"}, {"role": "user", "content": text}]


def plain_network(folder: Path) -> Any:
    """The model with transformers' own attention, for comparison."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
