"""Small made-up help desk for tests of topics: six intents, each in a dozen wordings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .real_data import real

_PARTS: dict[str, tuple[list[str], list[str]]] = {
    "refund": (
        ["I want a refund for", "Please refund", "When do I get my money back for", "My refund is missing for"],
        ["the broken lamp", "order 7731", "the cancelled concert ticket", "last week's purchase"],
    ),
    "password": (
        ["I forgot my password", "The password reset link fails", "Please reset my password", "Cannot log in anymore"],
        ["on the website", "on my phone", "since yesterday", "after the update"],
    ),
    "delivery": (
        [
            "Where is my parcel",
            "My delivery is late",
            "The tracking number shows nothing",
            "The courier left no parcel",
        ],
        ["to Hamburg", "for two weeks", "from your warehouse", "at my new address"],
    ),
    "invoice": (
        [
            "Send me the invoice",
            "The invoice shows a wrong tax id",
            "I need a copy of the invoice",
            "Invoice number 88",
        ],
        ["for March", "for my company", "as a PDF", "with our VAT number"],
    ),
    "battery": (
        ["The battery drains fast", "My battery does not charge", "Battery gets hot", "The battery lasts an hour"],
        ["on the tablet", "during video calls", "while charging", "in the cold"],
    ),
    "subscription": (
        [
            "Cancel my subscription",
            "Upgrade my subscription",
            "Pause the subscription",
            "Which subscription plans exist",
        ],
        ["for the family", "at the end of the month", "for students", "without a fee"],
    ),
}


def desk() -> tuple[list[str], list[str]]:
    """(texts, intents): 16 texts of each of 6 intents."""
    texts, intents = [], []
    for intent, (starts, ends) in _PARTS.items():
        for start, end in product(starts, ends):
            texts.append(f"{start} {end}")
            intents.append(intent)
    return texts, intents


def banking77() -> tuple[list[str], list[str]]:
    """(texts, intents) of the labelled traces; the test is skipped where they are absent."""
    lines = real("dev-labelled", "banking77_traces.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [row["input"]["messages"][-1]["content"] for row in rows], [row["metadata"]["intent"] for row in rows]


def hashing_embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Words hashed into 256 signed places, rows at length 1: enough for texts that share words, and quick."""
    vectors = np.zeros((len(texts), 256), np.float32)
    for row, text in enumerate(texts):
        for word in re.findall(r"\w+", text.lower()):
            code = hashlib.blake2b(word.removesuffix("s").encode(), digest_size=4).digest()
            vectors[row, code[0]] += 1.0 if code[1] % 2 else -1.0
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
