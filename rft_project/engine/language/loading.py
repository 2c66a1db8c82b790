"""Loads a model folder and knows its peculiarities: end tokens, chat roles, which models are refused. Imports torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from rft_project.engine.language.attention import ATTENTION_NAME
from rft_project.engine.language.weights import ModelUnavailable
from rft_project.platforms.types import Message, text_of

#: What the engine reads of a config.
_NEEDED = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings")


def load(folder: Path) -> tuple[Any, Any]:
    """Network in fp32 with shared-prefix attention, all weights frozen, and its tokenizer.

    Raises ModelUnavailable with a sentence. Code inside the folder is never run.
    """
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelUnavailable(f"{folder.name} holds no model and tokenizer in Hugging Face layout.") from error
    if not tokenizer.chat_template:
        raise ModelUnavailable(f"{folder.name} has no chat template: choose an instruction-tuned model.")
    try:
        network = AutoModelForCausalLM.from_pretrained(
            folder, config=config, dtype=torch.float32, attn_implementation=ATTENTION_NAME, local_files_only=True
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise refusal(folder) from error
    if any(getattr(config, name, None) is None for name in _NEEDED):
        raise refusal(folder)
    network.eval()
    network.requires_grad_(False)
    return network, tokenizer


def refusal(folder: Path) -> ModelUnavailable:
    """For models whose attention isn't the interface we register, or that scale their scores in their own way."""
    return ModelUnavailable(
        f"{folder.name} can't be used here:"
        " it must be a causal language model of the Llama kind, e.g. Llama, Qwen or SmolLM."
    )


def context_length(config: Any) -> int:
    """Tokens the model can look back on. A sliding window would have to be told to our attention, so it is a limit."""
    return min(
        config.max_position_embeddings, getattr(config, "sliding_window", None) or config.max_position_embeddings
    )


def end_ids(network: Any, tokenizer: Any) -> list[int]:
    """Tokens that end an answer, the tokenizer's own first. Raises ModelUnavailable where there is none."""
    configured = network.generation_config.eos_token_id if network.generation_config else None
    more = configured if isinstance(configured, list) else [configured]
    found = [i for i in dict.fromkeys([tokenizer.eos_token_id, *more]) if i is not None]
    if not found:
        raise ModelUnavailable("The model names no end-of-answer token in its tokenizer or generation_config.json.")
    return found


@contextmanager
def plain_attention(network: Any) -> Iterator[None]:
    """The network with its own attention code for the while."""
    network.set_attn_implementation("eager")
    try:
        yield
    finally:
        network.set_attn_implementation(ATTENTION_NAME)


def plain_turn(message: Message, knows_tools: bool) -> dict[str, Any]:
    """A message as chat templates expect it: text content; tool calls as text where the template shows none."""
    role = "system" if message.get("role") == "developer" else message.get("role", "user")
    turn: dict[str, Any] = {"role": role, "content": text_of(message.get("content"))}
    calls = message.get("tool_calls")
    if calls and knows_tools:
        turn["tool_calls"] = calls
    elif calls:
        shown = [json.dumps(call.get("function", call), ensure_ascii=False) for call in calls]
        turn["content"] = "\n".join([part for part in (turn["content"], *shown) if part])
    if message.get("tool_call_id") and knows_tools:
        turn["tool_call_id"] = message["tool_call_id"]
    return turn
