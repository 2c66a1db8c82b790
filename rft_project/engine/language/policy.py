"""The engine's language model as a ``Policy``: one base in memory, any number of tuned models on top of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from rft_project.engine.base import Completion, Prompt
from rft_project.engine.language import runtime
from rft_project.platforms.types import Message

if TYPE_CHECKING:
    from rft_project.engine.language.generation import Generation

_numbers = count(1)


class LanguagePolicy:
    """Implements ``engine.base.Policy``. Not thread-safe, and neither are two that share a base.

    ``LanguagePolicy(ensure_model(name, models_dir), id=name)`` loads the base (0.6 GB, 2 s once torch is imported);
    ``base.with_adapter(checkpoint, id)`` is a tuned model on the same weights (20 MB more).
    """

    def __init__(self, folder: Path, *, id: str = "", threads: int | None = None) -> None:
        """``folder`` as ``weights.ensure_model`` returns it; ``threads`` None leaves one core free.

        Raises ModelUnavailable with a sentence where the folder holds no usable model.
        """
        runtime.prepare(threads)
        from rft_project.engine.language.generation import Generation  # noqa: PLC0415 - imports torch
        from rft_project.engine.language.model import LanguageModel  # noqa: PLC0415 - imports torch

        self.id = id or folder.name
        self._generation: Generation = Generation(LanguageModel(folder))
        self._adapter: str | None = None

    def with_adapter(self, folder: Path, id: str) -> LanguagePolicy:
        """The same base with the LoRA adapter saved in ``folder``. Raises ModelUnavailable where it does not fit."""
        name = f"adapter{next(_numbers)}"
        self._generation.model.load_adapter(name, folder)
        policy = LanguagePolicy.__new__(LanguagePolicy)
        policy.id, policy._generation, policy._adapter = id, self._generation, name
        return policy

    def generate(self, prompts: Sequence[Prompt], *, seed: int | None = None) -> list[list[Completion]]:
        """Answers per prompt, in order; n, temperature and max_tokens may differ within a call. See ``Policy``."""
        return self._generation.generate(prompts, self._adapter, seed)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the prompt as the chat template renders it."""
        return len(self._generation.model.encode(messages))

    def close(self) -> None:
        """Frees the adapter of a tuned model; the policy is of no use after that. The base stays."""
        if self._adapter is not None:
            self._generation.model.drop_adapter(self._adapter)
            self._generation.forget(self._adapter)
            # Without this a closed policy would go on as the base model.
            del self._generation
