"""The embeddings that topics are found with and records sorted by: the setting ``TOPIC_EMBEDDINGS``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.conf import settings

from rft_project.platforms.embedding_cache import DiskCache
from rft_project.platforms.embeddings import CachedEmbeddings, Vectors, beside_static, embedding_model


def topic_embeddings() -> Callable[[Sequence[str]], Vectors]:
    """``static`` computes as fast as it could be looked up; slower ones are kept in ``DATA_DIR``, static beside them.

    Raises LookupError with a sentence where the setting names embeddings that are not installed.
    """
    model = embedding_model(settings.TOPIC_EMBEDDINGS)
    if not model.slow:
        return model.embed
    return beside_static(CachedEmbeddings(model, DiskCache(settings.DATA_DIR / "embeddings.sqlite3")))
