"""What goes wrong on purpose: one fault per request, taken in the order they were put in."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Characters of a "huge-json" answer: far more than any answer has. It comes in parts, so nobody has to hold it.
HUGE = 2_000_000_000
#: Brackets of a "deep-json" answer, each in the one before.
DEEP = 100_000


@dataclass
class Fault:
    """What goes wrong with the next request whose method and path begin like this.

    ``kind``: a status number (401, 403, 404, 409, 429, 500, 503 …), answered without doing the work; "drop" (the
    connection ends before the work), "redirect" (to ``headers["location"]``). These do the work first: "500-after",
    "drop-after", "cut" (half of the answer, then the connection ends), "hang" (the answer comes after ``seconds``),
    "broken-json", "huge-json", "deep-json", "deep-error" (the same as an error), "not-json" (a page of a proxy).
    ``skip``: requests that still go well.
    """

    method: str
    path: str
    kind: str | int
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "An error was injected."
    code: str | None = None
    seconds: float = 5.0
    skip: int = 0


def taken(faults: list[Fault], method: str, path: str) -> Fault | None:
    """The fault of this request, taken off the list; a fault that still skips counts down."""
    for fault in faults:
        if fault.method == method and path.startswith(fault.path):
            if fault.skip > 0:
                fault.skip -= 1
                return None
            faults.remove(fault)
            return fault
    return None
