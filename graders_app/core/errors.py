"""The one error a grader definition can raise."""

from __future__ import annotations


class GraderError(ValueError):
    """A grader definition that cannot be used; ``str(error)`` is one sentence that starts with the field.

    ``field`` is the path inside the document, such as ``graders.label.operation`` (empty: the document itself).
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.reason = message
