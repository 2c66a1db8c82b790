"""One record read and judged on its own, and the full rules that judge any record."""

from __future__ import annotations

import msgspec

from datasets_app.core import tokens
from datasets_app.core.dedupe import Said
from datasets_app.core.identity import digest
from datasets_app.core.records import Trace, clean_text, dumps, user_turns
from datasets_app.core.sanitizing import Issue, SanitizeConfig, verdict
from rft_project.platforms.types import last_user_text

PREVIEW = 600  # characters


class Judged(msgspec.Struct, gc=False):
    """One line read and judged on its own.

    ``digest``: 32 hexadecimal digits; ``turns``: what the user says, blank turns left out; ``tokens``: exact, or 0
    where they were not counted; ``split``: how many messages were moved to the output; ``source``: the ``body``, or the
    line (bytes) that it is but for white space between its parts.
    """

    issues: list[Issue]
    digest: str
    preview: str
    tokens: int
    turns: list[str]
    format: str = ""
    span_id: str = ""
    session_id: str = ""
    split: int = 0
    source: str | bytes = ""

    @property
    def body(self) -> str:
        """The record as ``records.loads`` reads it; made when asked for, since many records are only judged."""
        if isinstance(self.source, bytes):
            self.source = msgspec.json.format(self.source, indent=-1).decode()
        return self.source

    @property
    def said(self) -> Said:
        """What is compared with other records."""
        return Said(self.digest, self.span_id, self.turns)


def judged(trace: Trace, config: SanitizeConfig, format: str, *, exact: bool = True) -> Judged:
    """A record judged by the full rules; see ``fast.Judge`` for ``exact``."""
    count = tokens.count(trace) if exact or tokens.most(trace) > config.max_tokens else 0
    return Judged(
        issues=verdict(trace, config, count),
        digest=digest(trace),
        preview=clean_text(last_user_text(trace.messages))[:PREVIEW],
        tokens=count,
        turns=user_turns(trace),
        format=format,
        span_id=trace.span_id,
        session_id=trace.session_id,
        split=trace.split,
        source=dumps(trace),
    )
