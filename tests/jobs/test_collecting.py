from __future__ import annotations

import gc

import pytest

from rft_project.jobs import collecting


def test_cycles_are_looked_for_rarely_while_a_job_runs_and_as_before_afterwards() -> None:
    before, kept = gc.get_threshold(), gc.get_freeze_count()
    with pytest.raises(KeyError), collecting.rarely():
        assert gc.get_threshold()[0] == 50_000
        assert gc.get_freeze_count() > 1000  # what was there already is not looked through
        raise KeyError
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, kept)


def test_cycles_are_found_all_the_same() -> None:
    class Link:
        alive = 0

        def __init__(self) -> None:
            self.to_itself = self
            Link.alive += 1

        def __del__(self) -> None:
            Link.alive -= 1

    with collecting.rarely():
        for _ in range(200_000):
            Link()
        assert Link.alive <= 50_000
