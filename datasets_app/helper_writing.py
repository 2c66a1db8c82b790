"""The helper model as a writer of new messages: asked with a JSON schema as long as its server takes one."""

from __future__ import annotations

from datasets_app.core.generating import Strategy
from datasets_app.core.generating_prompts import Material, request
from datasets_app.core.records import clean_text
from rft_project.money.expenses import most_tokens
from rft_project.platforms.base import Platform
from rft_project.platforms.errors import PlatformError
from rft_project.platforms.types import Sample

LONGEST = 200_000  # characters of an answer that are looked at


class Writer:
    """Thread-safe: ``structured`` only ever goes from True to False."""

    def __init__(self, platform: Platform, model: str) -> None:
        self._platform, self._model = platform, model
        self.structured = True

    def ask(self, strategy: Strategy, number: int, material: Material) -> Sample:
        """``number`` messages. A server that refuses the schema is asked again without it, and so from then on.

        Raises PlatformError.
        """
        if self.structured:
            try:
                return self._platform.sample(request(self._model, strategy, number, material, structured=True))
            except PlatformError as error:
                if error.status not in (400, 422):
                    raise
        answer = self._platform.sample(request(self._model, strategy, number, material, structured=False))
        self.structured = False
        return answer

    def most(self, strategy: Strategy, number: int, material: Material) -> tuple[int, int]:
        """Tokens in and out for which to hold money back."""
        return most_tokens(request(self._model, strategy, number, material, structured=self.structured))

    @staticmethod
    def text_of(sample: Sample) -> str:
        """The answer as it is stored."""
        return clean_text(sample.answers[0].text)[:LONGEST]
