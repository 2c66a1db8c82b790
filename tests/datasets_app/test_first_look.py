"""What a new user reads on pages that have nothing to show yet."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.factories import make_dataset

pytestmark = pytest.mark.django_db


def test_an_unreadable_file_is_called_by_the_name_it_was_given(owner: Any, client_of: Any) -> None:
    photo = SimpleUploadedFile("photo.jsonl", bytes(range(256)) * 8)
    answer = client_of(owner).post("/datasets/new/", {"name": "Broken", "file": photo}, follow=True)
    html = answer.content.decode()
    assert "photo.jsonl is a binary file" in html
    assert html.count("btn primary") == 1


def test_an_empty_dataset_claims_nothing(workspace: Any, owner: Any, client_of: Any) -> None:
    dataset = make_dataset(workspace)
    html = client_of(owner).get(f"/datasets/{dataset.pk}/").content.decode()
    assert "None yet." in html and "Known once the records are checked." in html
    assert "All from traces." not in html
    report = client_of(owner).get(f"/datasets/{dataset.pk}/report/").content.decode()
    assert "Listed here as soon as the records are checked." in report
    assert "Nothing was set aside" not in report
