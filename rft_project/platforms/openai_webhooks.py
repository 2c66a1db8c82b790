"""Webhooks of OpenAI: who sent one is proven by its signature, and it says no more than which job to look at.

Standard Webhooks: HMAC-SHA256 over ``id.timestamp.body``, in the headers ``webhook-id``, ``webhook-timestamp`` (five
minutes either way) and ``webhook-signature``; checked by the ``openai`` package.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

#: Events about fine-tuning jobs; there is none for a pause or for metrics.
JOB_EVENTS = ("fine_tuning.job.succeeded", "fine_tuning.job.failed", "fine_tuning.job.cancelled")
_PREFIX = "whsec_"


@dataclass(frozen=True)
class Notice:
    """``id``: of the message, the same when it is sent again; ``kind``: its event type; ``subject``: the job's id."""

    id: str
    kind: str
    subject: str


def is_signing_secret(text: str) -> bool:
    try:
        return text.startswith(_PREFIX) and len(base64.b64decode(text.removeprefix(_PREFIX), validate=True)) >= 16
    except (binascii.Error, ValueError):
        return False


def notice_of(body: bytes, headers: Mapping[str, str], secret: str) -> Notice | None:
    """What the message says; None where its signature, its age or its shape is not right, for whatever reason."""
    if not is_signing_secret(secret):
        return None
    client, sdk_error = _verifier()
    try:
        client.webhooks.verify_signature(body, headers, secret=secret)
        event = json.loads(body)
        return Notice(id=headers["webhook-id"], kind=str(event["type"]), subject=str(event["data"]["id"]))
    except (sdk_error, ValueError, TypeError, KeyError, RecursionError):
        return None


@lru_cache(maxsize=1)
def _verifier() -> tuple[Any, type[Exception]]:
    """A client that calls nobody, and what its package raises; imported when the first message comes."""
    sdk = import_module("openai")
    return sdk.OpenAI(api_key="none", base_url="http://127.0.0.1:9"), sdk.OpenAIError
