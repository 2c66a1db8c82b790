"""Personal data and secrets of files, in one pass: counted, or replaced too.

It is done where the records come together again, in their order, so that a value has the same placeholder in every
line whatever the number of processes. Only the counts are kept; placeholders need the values they stand for as well.
"""

from __future__ import annotations

from enum import StrEnum

from datasets_app.core.hygiene import Held
from datasets_app.core.pii.kinds import REVIEWED
from datasets_app.core.pii.redacting import Numbering, redact, redacted_text
from datasets_app.core.pii.scanning import Finding
from datasets_app.core.pii.traces import Text, findings
from datasets_app.core.records import Trace


class Pii(StrEnum):
    """What a run over files does about personal data and secrets."""

    REPORT = "report"  # counts records by kind
    REDACT = "redact"  # counts them and puts placeholders in; web addresses are counted only
    OFF = "off"


class Sweep:
    """Looks through records one after another; ``held`` counts what it found in them."""

    def __init__(self, *, redact: bool) -> None:
        self.held = Held()
        self._numbering = Numbering() if redact else None

    def swept(self, trace: Trace) -> Trace:
        """The record as it is handed on: itself, where nothing in it is replaced."""
        seen = findings(trace)
        if not seen:
            return trace
        self.held.add(one.finding.kind for one in seen)
        return trace if self._numbering is None else redact(trace, self._name)[0]

    def swept_text(self, text: str) -> str:
        """The same for a line that is no record; it is not counted."""
        return text if self._numbering is None else redacted_text(Text("", text), self._name)

    def _name(self, finding: Finding) -> str | None:
        assert self._numbering is not None
        return self._numbering(finding) if finding.kind in REVIEWED else None
