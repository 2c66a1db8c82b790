"""The embeddings that topics are found with and records sorted by: built in, or a platform's.

Which one is a setting of the dataset; the server's is ``TOPIC_EMBEDDINGS``. ``static`` computes as fast as it could be
looked up. What takes longer, or costs money, is kept in the database, a vector for every text and model, so that it is
computed once for all runs and all hosts; the static vector stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Max

from rft_project.connections.models import Connection
from rft_project.connections.services import platform_for
from rft_project.platforms.embeddings import (
    SENTENCE,
    STATIC,
    CachedEmbeddings,
    EmbeddingModel,
    Vectors,
    beside_static,
    embedding_model,
    installed,
    of_platform,
)
from rft_project.web.text import duration

from .models import CachedVector, Dataset

PLATFORM = "connection:"  # before a connection's id, in ``SortSettings.embeddings``
MOST = 200_000  # vectors kept; with MiniLM 150 MB
TOGETHER = 500  # digests in one query
SENTENCES_A_SECOND = 100  # texts that MiniLM reads on one core, of some 50 words each

Embed = Callable[[Sequence[str]], Vectors]


class DatabaseCache:
    """An ``EmbeddingCache``. Past ``most`` vectors those written longest ago go."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most

    def get(self, model: str, digests: Sequence[bytes]) -> dict[bytes, Vectors]:
        found: dict[bytes, Vectors] = {}
        for start in range(0, len(digests), TOGETHER):
            rows = CachedVector.objects.filter(model=model, digest__in=digests[start : start + TOGETHER])
            for key, half in rows.values_list("digest", "half"):
                found[bytes(key)] = np.frombuffer(bytes(half), np.float16).astype(np.float32)
        return found

    def put(self, model: str, vectors: Mapping[bytes, Vectors]) -> None:
        rows = [
            CachedVector(model=model, digest=key, half=vector.astype(np.float16).tobytes())
            for key, vector in vectors.items()
        ]
        with suppress(DatabaseError):  # a full disk or a busy database costs time, not the run
            CachedVector.objects.bulk_create(
                rows,
                batch_size=TOGETHER,
                update_conflicts=True,
                unique_fields=["model", "digest"],
                update_fields=["half"],
            )
            newest = CachedVector.objects.aggregate(newest=Max("pk"))["newest"] or 0
            CachedVector.objects.filter(pk__lte=newest - self.most).delete()


def topic_embeddings() -> Embed:
    """Those of this server, which send nothing anywhere. Raises LookupError where they are not installed."""
    return _kept(embedding_model(settings.TOPIC_EMBEDDINGS))


def embeddings_of(dataset: Dataset) -> Embed:
    """Unit vectors of texts by the model that the dataset is sorted with.

    Raises LookupError with a sentence where it is not there. What is given to a platform's model leaves this machine:
    see ``consent.about_embeddings``.
    """
    return _kept(_model(dataset))


def _kept(model: EmbeddingModel) -> Embed:
    return beside_static(CachedEmbeddings(model, DatabaseCache())) if model.slow else model.embed


def chosen(dataset: Dataset) -> str:
    """Id of the model that the dataset is sorted with."""
    return dataset.sorting.embeddings or settings.TOPIC_EMBEDDINGS


def connection_of(dataset: Dataset) -> Connection | None:
    """The connection whose model is chosen; None for a built-in one. Raises LookupError where it is gone."""
    if not chosen(dataset).startswith(PLATFORM):
        return None
    with suppress(ValueError):
        pk = UUID(chosen(dataset).removeprefix(PLATFORM))
        found = dataset.workspace.connections.exclude(embedding_model="").filter(pk=pk).first()
        if found is not None:
            return found
    raise LookupError("The connection whose embeddings were chosen has none any more; choose others for the sorting.")


def _model(dataset: Dataset) -> EmbeddingModel:
    connection = connection_of(dataset)
    if connection is None:
        return embedding_model(chosen(dataset))
    name = f"{connection.kind}:{connection.address}:{connection.embedding_model}"[:300]
    return of_platform(platform_for(connection), name, connection.embedding_model)


@dataclass(frozen=True)
class Offer:
    """Embeddings that may be chosen, in plain words. ``title`` and ``sentence`` are a radio's label and its hint."""

    id: str
    title: str
    sentence: str


def offers(dataset: Dataset, records: int) -> list[Offer]:
    """What can be chosen on this server, for so many records; the quickest first."""
    found = [Offer(STATIC.id, "Fast, built in", "Seconds for any number of records; nothing leaves this machine.")]
    if SENTENCE in installed():
        seconds = duration(max(1, records // SENTENCES_A_SECOND))
        said = (
            f"Understands wording better. About {seconds} for your records the first time; nothing leaves this machine."
        )
        found.append(Offer(SENTENCE.id, "Stronger, built in", said))
    for connection in dataset.workspace.connections.exclude(embedding_model=""):
        said = f"The last message of every record is sent to {connection}, once; its provider may charge for it."
        found.append(Offer(f"{PLATFORM}{connection.pk}", f"{connection.embedding_model} of {connection}", said))
    return found
