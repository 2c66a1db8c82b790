"""Keeps credentials out of logs: known key shapes and values next to telling names are replaced by ***."""

from __future__ import annotations

import logging
import re

SHAPES = re.compile(
    r"sk-[A-Za-z0-9_-]{8,}"
    r"|whsec_[A-Za-z0-9+/=]{8,}"
    r"|A[KS]IA[0-9A-Z]{16}"
    r"|(?i:(?<=Bearer )[A-Za-z0-9._~+/=-]{8,})"
    # A telling name, then a value behind quotes, colon or equals sign; the name stays.
    r"|(?P<name>(?i:api[-_ ]?key|password|secret(?:[-_]?(?:access[-_]?)?key)?)[\"']?\s*[:=]\s*[\"']?)[^\s\"',}]{6,}"
)


def scrub(text: str) -> str:
    """``text`` without anything that looks like a credential."""
    return SHAPES.sub(lambda found: f"{found['name'] or ''}***", text)


class SecretFilter(logging.Filter):
    """Rewrites the finished message and the traceback, so that secrets among the arguments are caught as well."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        clean = scrub(message)
        if clean != message:
            record.msg, record.args = clean, ()
        if record.exc_info and not record.exc_text:
            # A formatter uses this text where there is one.
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = scrub(record.exc_text)
        return True
