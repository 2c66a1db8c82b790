"""A grader to take along: as JSON for OpenAI and Azure, as a Lambda zip for Bedrock, as a plain Python file.

``runtime``, ``python_part``, ``python_child``, ``plain_file``, ``events``, ``converse`` and ``lambda_handler`` are what
the zip and the file carry and import nothing but the standard library; ``bundle`` collects them, ``packing`` and
``documents`` write.
"""

from __future__ import annotations

from .documents import PLATFORMS as HOSTED
from .documents import openai_document
from .packing import lambda_zip, python_file
from .targets import TARGETS, compile_grader

__all__ = ["HOSTED", "TARGETS", "compile_grader", "lambda_zip", "openai_document", "python_file"]
