"""What pages cost: as many queries with three rows as with one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from datasets_app import actions
from tests.factories import import_file, make_dataset, record, small_dataset, write_lines
from tests.worker import drain

pytestmark = pytest.mark.django_db


@pytest.fixture
def cost(owner: Any, client_of: Any) -> Callable[[str], int]:
    client: Client = client_of(owner)

    def of(path: str) -> int:
        assert client.get(path).status_code == 200  # what is asked only once per process
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert client.get(path).status_code == 200
        return len(asked)

    return of


def test_the_list_of_datasets_costs_the_same_for_three(workspace: Any, cost: Callable[[str], int]) -> None:
    small_dataset(workspace)
    one = cost("/datasets/")
    for name in ("Second", "Third"):
        make_dataset(workspace, name)
    assert cost("/datasets/") == one


def test_a_dataset_page_costs_the_same_for_three_records_and_counts_them_once(
    workspace: Any, cost: Callable[[str], int], tmp_path: Path
) -> None:
    dataset = make_dataset(workspace)
    lines = [record(f"Where is the parcel number {n} that I ordered?") for n in range(3)]
    import_file(dataset, write_lines(tmp_path / "one", lines[0]))
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()
    one = cost(f"/datasets/{dataset.pk}/")
    import_file(dataset, write_lines(tmp_path / "three", *lines))
    actions.start(dataset, actions.SANITIZE, {}, by=None)
    drain()
    assert cost(f"/datasets/{dataset.pk}/") == one
    # who is asking (2) and whether they may (1), counts (1), what was found (1), last runs for strip and actions (2),
    # last report for tiles and actions (2), a page of records and how many there are (2), the badge of running jobs (1)
    assert one <= 12


@pytest.mark.parametrize("page", ["topics/", "report/", "import/"])
def test_other_pages_cost_the_same_whatever_they_list(
    workspace: Any, cost: Callable[[str], int], page: str, tmp_path: Path
) -> None:
    small, large = make_dataset(workspace), small_dataset(workspace)
    import_file(small, write_lines(tmp_path / "one", record("Where is the parcel that I ordered?")))
    actions.start(small, actions.SANITIZE, {}, by=None)
    drain()
    assert cost(f"/datasets/{large.pk}/{page}") <= cost(f"/datasets/{small.pk}/{page}") + 1
