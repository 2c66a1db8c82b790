"""The A-J strip: ten steps in three phases. Apps say how far a dataset or a run is; the strip only draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

OPEN, DONE, LIVE, STALE, SHUT = "open", "done", "live", "stale", "shut"
STATES = (OPEN, DONE, LIVE, STALE, SHUT)
TITLES = {
    "A": "Sanitize",
    "B": "Topics",
    "C": "Categorize",
    "D": "Coverage",
    "E": "Generate",
    "F": "Split",
    "G": "Grader",
    "H": "Dry run",
    "I": "Train",
    "J": "Results",
}
PHASES = (("Data prep", "ABCD", ""), ("Augmentation", "E", "aug"), ("Validation and training", "FGHIJ", ""))
SPOKEN = {OPEN: "open", DONE: "done", LIVE: "running", STALE: "needs a look", SHUT: "closed"}


@dataclass(frozen=True)
class Step:
    """One letter of the strip.

    ``state`` is one of ``STATES``: done (solid bar), live (half bar, work is running), stale (dashed: out of date or
    needs a look), open (can be started), shut (cannot; shown without a link). ``fact`` is at most 16 characters
    ("94.6 % valid"). ``here`` marks the page one is on.
    """

    letter: str
    state: str = SHUT
    fact: str = ""
    url: str = ""
    title: str = ""
    here: bool = False

    def __post_init__(self) -> None:
        if self.letter not in TITLES:
            raise ValueError(f"There is no step {self.letter!r}.")
        if self.state not in STATES:
            raise ValueError(f"{self.state!r} is not one of {', '.join(STATES)}.")
        if not self.title:
            object.__setattr__(self, "title", TITLES[self.letter])

    @property
    def linked(self) -> bool:
        return bool(self.url) and self.state != SHUT

    @property
    def spoken(self) -> str:
        """State in a word, for those who cannot see the bar."""
        return SPOKEN[self.state]


@dataclass(frozen=True)
class Phase:
    title: str
    steps: tuple[Step, ...]
    css: str = ""


def phases(steps: Sequence[Step]) -> tuple[Phase, ...]:
    """Group steps into the three phases; a letter that is missing is drawn closed."""
    by_letter = {step.letter: step for step in steps}
    return tuple(
        Phase(title, tuple(by_letter.get(letter, Step(letter, SHUT, "not yet")) for letter in letters), css)
        for title, letters, css in PHASES
    )
