"""How a dataset's records are sorted into its topics. No I/O."""

from __future__ import annotations

from pydantic import BaseModel, Field

THRESHOLD = 0.7


class SortSettings(BaseModel):
    """``threshold``: confidence from which the embedding's answer stands and no helper model is asked, 0..1.

    ``embeddings``: id of a built-in model, ``connection:<id>`` for a platform's, '' for the server's own choice.
    """

    threshold: float = Field(THRESHOLD, ge=0.0, le=1.0)
    embeddings: str = Field("", max_length=80)
