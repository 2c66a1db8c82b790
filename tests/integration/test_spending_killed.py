"""A small campaign of killed starts for each emulator; the long one is run by hand (spending_campaign)."""

from __future__ import annotations

import pytest

from rft_project.connections.models import Workspace
from tests.worker import child_environment

from .spending_campaign import CASES, campaign

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(CASES))
def test_a_start_that_is_killed_anywhere_is_paid_once(kind: str, workspace: Workspace) -> None:
    with campaign(kind, workspace, child_environment(), kills=8, seed=6) as fight:
        assert fight.run() == []
        assert sum(fight.hits.values()) >= 8
