"""Texts that are embedded in one request of OpenAI's protocol, and the vectors it answers with. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from .types import JsonDict

#: Embedding inputs in one request (OpenAI's limit), and characters of all of them: under its 300,000 tokens in any
#: script. A longer text is cut to stay under 8,192 tokens in most.
EMBED_BATCH = 2048
EMBED_BATCH_CHARACTERS = 250_000
EMBED_CHARACTERS = 24_000


def batches(texts: list[str]) -> Iterator[list[str]]:
    """``texts`` in order in parts that fit into one request; an empty text becomes a blank, which platforms accept."""
    part: list[str] = []
    size = 0
    for text in texts:
        cut = text[:EMBED_CHARACTERS] or " "
        if part and (len(part) == EMBED_BATCH or size + len(cut) > EMBED_BATCH_CHARACTERS):
            yield part
            part, size = [], 0
        part.append(cut)
        size += len(cut)
    if part:
        yield part


def vectors_of(answer: JsonDict) -> list[list[float]]:
    """Of an answer whose vectors may come in any order. Raises what a wrong shape raises."""
    rows = sorted(answer["data"], key=lambda row: row["index"])
    return [[float(x) for x in row["embedding"]] for row in rows]
