"""Static sentence embeddings: the mean of the token vectors that come inside the ``wordllama`` wheel.

Reads the wheel's two files directly: its own loader looks for the tokenizer in a folder the wheel does not have and
then asks the network. Same vectors as ``WordLlama.load().embed(texts, norm=True)``; thousands of texts a second.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from tokenizers import Tokenizer

#: Length of every vector.
DIMENSIONS = 256
#: Id under which the local engine offers it.
MODEL_ID = "static"

_WEIGHTS = Path("weights") / "l2_supercat_256.safetensors"
_TOKENIZER = Path("tokenizers") / "l2_supercat_tokenizer_config.json"
#: Texts tokenized at once; bounds the memory of the gathered token vectors.
_CHUNK = 256
#: Longer texts are cut; a mean over more tokens says little and costs memory.
_MAX_TOKENS = 4096

Vectors = npt.NDArray[np.float32]

_loading = threading.Lock()


def embed(texts: Sequence[str]) -> Vectors:
    """Vectors ``[len(texts), 256]``, each of length 1 (all zeros for a text without tokens). Thread-safe, offline.

    The first call loads 16 MB. Raises RuntimeError where the ``wordllama`` package is missing or incomplete.
    """
    table, tokenizer = _model()
    vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
    for start in range(0, len(texts), _CHUNK):
        chunk = [_encodable(text) for text in texts[start : start + _CHUNK]]
        ids = [encoding.ids[:_MAX_TOKENS] for encoding in tokenizer.encode_batch(chunk, add_special_tokens=False)]
        for row, tokens in enumerate(ids):
            if tokens:
                vectors[start + row] = table[tokens].mean(axis=0)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=vectors, where=lengths > 0)


def _encodable(text: str) -> str:
    """The tokenizer refuses lone surrogates, which JSON can carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _model() -> tuple[Vectors, Tokenizer]:
    with _loading:
        return _load()


@lru_cache(maxsize=1)
def _load() -> tuple[Vectors, Tokenizer]:
    spec = find_spec("wordllama")
    for place in spec.submodule_search_locations or () if spec else ():
        weights, tokenizer = Path(place) / _WEIGHTS, Path(place) / _TOKENIZER
        if weights.is_file() and tokenizer.is_file():
            (table,) = load_file(weights).values()
            return table.astype(np.float32), Tokenizer.from_file(str(tokenizer))
    raise RuntimeError("The static embeddings need the package wordllama 0.4.0.post1: install requirements.txt.")
