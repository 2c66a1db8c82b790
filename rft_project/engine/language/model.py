"""A causal language model in memory: text to tokens, hidden states over shared prefixes, adapters. Imports torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jinja2.exceptions import TemplateError
from peft import LoraConfig, LoraModel
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from torch import Tensor

from rft_project.engine.language import attention, loading
from rft_project.engine.language.attention import Packing, PrefixContext, RowGroups, SharedKeys
from rft_project.engine.language.weights import ModelUnavailable
from rft_project.platforms.types import Message

#: Largest difference of a log-probability between the shared-prefix path and the plain model, in nat.
EXACT = 1e-3


@dataclass(frozen=True, slots=True)
class PromptBatch:
    """Prompts that went through the model.

    ``prefix``: keys of the tokens all begin with, None where there are none; ``rest``: keys of each prompt's other
    tokens (no row groups yet); ``lengths`` [P]: tokens of the whole prompt; ``last`` [P, D]: hidden state of its last.
    """

    prefix: SharedKeys | None
    rest: SharedKeys
    lengths: Tensor
    last: Tensor

    def seen_by(self, owner: Tensor) -> tuple[SharedKeys, ...]:
        """What rows look at whose prompt is ``owner`` [B]."""
        groups = len(self.lengths)
        rows = RowGroups(owner, groups) if groups > 1 else None
        rest = SharedKeys(self.rest.layers, self.rest.present, rows)
        return (rest,) if self.prefix is None else (self.prefix, rest)


class LanguageModel:
    """One base model, its tokenizer and any number of LoRA adapters. Not thread-safe.

    Raises ModelUnavailable where the folder holds no model, or one whose attention cannot share prefixes.
    """

    def __init__(self, folder: Path) -> None:
        attention.register()
        self.folder = folder
        self.network, self.tokenizer = loading.load(folder)
        self.context = loading.context_length(self.network.config)
        self.end_ids = loading.end_ids(self.network, self.tokenizer)
        self._lora: LoraModel | None = None
        self._probe()

    # -- text ---------------------------------------------------------------------------------------------------

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Tokens of the prompt rendered by the model's chat template, ready for the answer.

        Raises ValueError with a sentence where the template refuses the messages.
        """
        knows_tools = "tool_calls" in (self.tokenizer.chat_template or "")
        turns = [loading.plain_turn(m, knows_tools) for m in messages]
        try:
            text = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        except (TemplateError, ValueError, TypeError, KeyError) as error:
            raise ValueError(f"The model's chat template cannot render this prompt: {error}.") from error
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of an answer, without end token and special tokens."""
        return self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    # -- forward ------------------------------------------------------------------------------------------------

    def hidden(self, ids: Tensor, positions: Tensor, context: PrefixContext) -> Tensor:
        """Last hidden states [B, L, D] of new tokens ``ids`` [B, L] at ``positions`` [B, L]."""
        decoder = self.network.get_decoder()
        output = decoder(input_ids=ids, position_ids=positions, use_cache=False, prefix_context=context)
        return output.last_hidden_state

    def logits(self, hidden: Tensor) -> Tensor:
        """``[N, D]`` to ``[N, vocabulary]``."""
        return self.network.get_output_embeddings()(hidden)

    def read_prefix(self, tokens: Sequence[int], known: SharedKeys | None = None) -> SharedKeys:
        """Keys of tokens at the beginning of every row; ``known`` are those of the first of them."""
        context = PrefixContext(own=known.layers if known else [])
        start = known.layers[0][0].shape[2] if known else 0
        self.hidden(torch.tensor([list(tokens[start:])]), torch.arange(start, len(tokens))[None], context)
        return SharedKeys(context.seen)

    def read_prompts(self, prompts: Sequence[Sequence[int]], prefix: SharedKeys | None) -> PromptBatch:
        """Puts prompts through the model after their common ``prefix``; each must be longer than it."""
        start = prefix.layers[0][0].shape[2] if prefix else 0
        rest = [list(p[start:]) for p in prompts]
        lengths = torch.tensor([len(r) for r in rest])
        packing = Packing(lengths)
        ids = torch.tensor([[token for row in rest for token in row]])
        positions = torch.cat([start + torch.arange(len(row)) for row in rest])[None]
        context = PrefixContext(shared=(prefix,) if prefix else (), packing=packing)
        hidden = self.hidden(ids, positions, context)[0]
        present = None if bool(packing.real.all()) else packing.real
        return PromptBatch(prefix, SharedKeys(context.seen, present), lengths + start, hidden[lengths.cumsum(0) - 1])

    def _probe(self) -> None:
        """Compares the shared-prefix path with the model's own attention on a few tokens."""
        size = self.network.config.vocab_size
        rows = [[(7 * i + 3) % size for i in range(9)], [(7 * i + 3) % size for i in range(5)] + [1 % size, 2 % size]]
        with torch.no_grad():
            try:
                prompts = self.read_prompts(rows, self.read_prefix(rows[0][:4]))
                owner = torch.tensor([0, 1])
                context = PrefixContext(shared=prompts.seen_by(owner))
                after = self.hidden(torch.tensor([[5 % size], [6 % size]]), prompts.lengths[:, None], context)
                ours = self.logits(after[:, -1]).log_softmax(-1)
            except (TypeError, AttributeError, IndexError, RuntimeError, KeyError, ValueError) as error:
                raise loading.refusal(self.folder) from error
            with loading.plain_attention(self.network):
                for row, token, mine in zip(rows, (5, 6), ours, strict=True):
                    plain = self.network(input_ids=torch.tensor([[*row, token % size]]), use_cache=False).logits[0, -1]
                    if not torch.allclose(plain.log_softmax(-1), mine, atol=EXACT, rtol=0):
                        raise loading.refusal(self.folder)

    # -- adapters -----------------------------------------------------------------------------------------------

    def new_adapter(self, name: str, rank: int, alpha: float, seed: int) -> list[torch.nn.Parameter]:
        """Adds a LoRA adapter on all linear layers but the output, starting at zero effect; its parameters in order."""
        config = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules="all-linear")  # type: ignore[arg-type]
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self._attach(name, config)
        return list(self.adapter_parameters(name).values())

    def load_adapter(self, name: str, folder: Path) -> None:
        """Adds the adapter saved in ``folder`` (PEFT's layout). Raises ModelUnavailable where it does not fit."""
        try:
            config = LoraConfig.from_pretrained(str(folder))
            saved = load_file(folder / "adapter_model.safetensors")
        except (OSError, ValueError, TypeError) as error:
            raise ModelUnavailable(f"There is no adapter in {folder.name}.") from error
        self._attach(name, config)
        parameters = self.adapter_parameters(name)
        if {k: v.shape for k, v in parameters.items()} != {k: v.shape for k, v in saved.items()}:
            self.drop_adapter(name)
            raise ModelUnavailable(f"The adapter in {folder.name} was made for another base model.")
        with torch.no_grad():
            for key, parameter in parameters.items():
                parameter.copy_(saved[key])

    def save_adapter(self, name: str, folder: Path) -> None:
        """Writes the adapter into ``folder`` (exists) in PEFT's layout."""
        assert self._lora is not None
        tensors = {k: v.detach().clone().contiguous() for k, v in self.adapter_parameters(name).items()}
        save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        config = self._lora.peft_config[name].to_dict()
        config = {k: sorted(v) if isinstance(v, set) else v for k, v in config.items()}
        config |= {"task_type": "CAUSAL_LM", "inference_mode": True, "base_model_name_or_path": self.folder.name}
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=1, default=str))

    def drop_adapter(self, name: str) -> None:
        """Frees an adapter."""
        if self._lora is not None:
            self._lora.delete_adapter(name)

    def use(self, name: str | None) -> None:
        """Selects the adapter of the next calls; None is the base model."""
        if self._lora is None:
            return
        if name is None:
            self._lora.disable_adapter_layers()
        else:
            self._lora.enable_adapter_layers()
            self._lora.set_adapter(name)

    def adapter_parameters(self, name: str) -> dict[str, torch.nn.Parameter]:
        """Parameters of an adapter by the names PEFT gives them in a file, in the order of the layers."""
        found: dict[str, Any] = {}
        for path, module in self.network.named_modules():
            if isinstance(module, LoraLayer) and name in module.lora_A:
                found[f"base_model.model.{path}.lora_A.weight"] = module.lora_A[name].weight
                found[f"base_model.model.{path}.lora_B.weight"] = module.lora_B[name].weight
        return found

    def _attach(self, name: str, config: LoraConfig) -> None:
        if self._lora is None:
            self._lora = LoraModel(self.network, config, name)
        else:
            self._lora.peft_config[name] = config
            self._lora.inject_adapter(self.network, name)
        self.network.eval()
        self.use(name)
