"""Texts that are embedded in one request of OpenAI's protocol, and the vectors it answers with. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from .types import JsonDict

#: Embedding inputs in one request (OpenAI's limit), and bytes of all of them: no token is less than a byte, so they
#: stay under its 300,000 tokens. A longer text is cut to stay under 8,192 tokens, where a Chinese character (3 bytes)
#: may be a token or more.
EMBED_BATCH = 2048
EMBED_BATCH_BYTES = 250_000
EMBED_BYTES = 16_000


def clipped(text: str) -> str:
    """``text``, or as much of it as every embedding model takes."""
    content = text.encode("utf-8", "replace")
    return text if len(content) <= EMBED_BYTES else content[:EMBED_BYTES].decode("utf-8", "ignore")


def batches(texts: list[str]) -> Iterator[list[str]]:
    """``texts`` in order in parts that fit into one request; an empty text becomes a blank, which platforms accept."""
    part: list[str] = []
    size = 0
    for text in texts:
        cut = clipped(text) or " "
        weight = len(cut.encode("utf-8", "replace"))
        if part and (len(part) == EMBED_BATCH or size + weight > EMBED_BATCH_BYTES):
            yield part
            part, size = [], 0
        part.append(cut)
        size += weight
    if part:
        yield part


def vectors_of(answer: JsonDict) -> list[list[float]]:
    """Of an answer whose vectors may come in any order. Raises what a wrong shape raises."""
    rows = sorted(answer["data"], key=lambda row: row["index"])
    return [[float(x) for x in row["embedding"]] for row in rows]
