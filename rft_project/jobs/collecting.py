"""How often Python looks for reference cycles while a job runs."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS, _YOUNG, _OLD = 50_000, 20, 20  # Python's own 700, 10, 10 suit programs that hold few objects


@contextmanager
def rarely() -> Iterator[None]:
    """Look for cycles seldom, and not among what is there already.

    Handlers hold thousands of rows that refer to nothing back: looking through them over and over again is a tenth of
    what an import costs. What cycles there are wait for the next 50,000 objects.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_OBJECTS, _YOUNG, _OLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
