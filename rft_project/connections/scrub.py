"""Keeps credentials out of logs: known key shapes and values next to telling names are replaced by ***."""

from __future__ import annotations

import logging
import re

SHAPES = re.compile(
    r"sk-[A-Za-z0-9_-]{8,}"
    r"|AKIA[0-9A-Z]{16}"
    r"|(?<=Bearer )[A-Za-z0-9._~+/=-]{8,}"
    r"|(?i:(?<=api[-_]key[\"' :=])|(?<=password[\"' :=])|(?<=secret[\"' :=]))[^\s\"',}]{6,}"
)


def scrub(text: str) -> str:
    """``text`` without anything that looks like a credential."""
    return SHAPES.sub("***", text)


class SecretFilter(logging.Filter):
    """Rewrites the finished message, so that secrets among the arguments are caught as well."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        clean = scrub(message)
        if clean != message:
            record.msg, record.args = clean, ()
        return True
