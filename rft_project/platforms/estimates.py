"""How many tokens something may take, rather too many than too few: before a call nobody knows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import ceil

from .types import SampleRequest

#: UTF-8 bytes of a token, on the short side in any script, so that an estimate is rather too high.
BYTES_PER_TOKEN = 3
#: Tokens of what a platform writes around a request.
_AROUND = 60


def prompt_tokens(request: SampleRequest) -> int:
    """Of everything that is sent."""
    sent = json.dumps([request.messages, request.tools, request.response_format], ensure_ascii=False)
    return ceil(len(sent.encode("utf-8", "replace")) / BYTES_PER_TOKEN)


def rated_tokens(request: SampleRequest) -> int:
    """What a platform counts against its limit of tokens when the request comes: the prompt and the longest answers."""
    return prompt_tokens(request) + request.n * request.max_tokens + _AROUND


def text_tokens(texts: Iterable[str]) -> int:
    """Of texts that are embedded."""
    return ceil(sum(len(text.encode("utf-8", "replace")) + BYTES_PER_TOKEN for text in texts) / BYTES_PER_TOKEN)
