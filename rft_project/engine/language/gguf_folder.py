"""Writes a Llama model in a GGUF file as a Hugging Face folder in fp32. Imports torch.

The weights are dequantised with the ``gguf`` package; query and key rows are brought back from llama.cpp's order
(pairs interleaved) to the one transformers uses (halves). Same tensors as transformers' own GGUF loading, at a tenth
of its time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, GenerationConfig, LlamaConfig

_BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_TOP_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def convert(source: Path, folder: Path) -> None:
    """Writes config, weights, tokenizer and chat template of the Llama model in ``source`` into ``folder`` (made)."""
    reader = gguf.GGUFReader(source)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    tensors = _tensors(reader, fields)
    config = _config(fields, tied="lm_head.weight" not in tensors)
    folder.mkdir(parents=True)
    config.save_pretrained(folder)
    GenerationConfig(bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id).save_pretrained(folder)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    tokenizer.save_pretrained(folder)


def _tensors(reader: gguf.GGUFReader, fields: dict[str, Any]) -> dict[str, torch.Tensor]:
    heads = {"attn_q": fields["llama.attention.head_count"], "attn_k": fields["llama.attention.head_count_kv"]}
    tensors = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        parts = tensor.name.split(".")
        if parts[0] == "blk":
            name = f"model.layers.{parts[1]}.{_BLOCK_NAMES[parts[2]]}"
            if parts[2] in heads:
                values = _halves(values, heads[parts[2]])
        else:
            name = _TOP_NAMES[parts[0]]
        tensors[f"{name}.weight"] = torch.from_numpy(np.ascontiguousarray(values))
    return tensors


def _halves(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows ``[heads·d, n]`` of rotary pairs (0, 1, 2, 3, …) as halves (0, 2, …, 1, 3, …) within each head."""
    rows = weight.shape[0]
    return weight.reshape(heads, rows // heads // 2, 2, -1).swapaxes(1, 2).reshape(weight.shape)


def _config(fields: dict[str, Any], *, tied: bool) -> LlamaConfig:
    end = int(fields["tokenizer.ggml.eos_token_id"])
    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=len(fields["tokenizer.ggml.tokens"]),
        hidden_size=fields["llama.embedding_length"],
        intermediate_size=fields["llama.feed_forward_length"],
        num_hidden_layers=fields["llama.block_count"],
        num_attention_heads=fields["llama.attention.head_count"],
        num_key_value_heads=fields["llama.attention.head_count_kv"],
        rms_norm_eps=fields["llama.attention.layer_norm_rms_epsilon"],
        max_position_embeddings=fields["llama.context_length"],
        rope_parameters={"rope_type": "default", "rope_theta": fields["llama.rope.freq_base"]},
        tie_word_embeddings=tied,
        bos_token_id=int(fields["tokenizer.ggml.bos_token_id"]),
        eos_token_id=end,
        pad_token_id=int(fields.get("tokenizer.ggml.padding_token_id", end)),
        dtype="float32",
    )
