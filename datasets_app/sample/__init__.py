"""The sample dataset that comes with the project: requests to the help desk of an invented shop, to be routed.

``SAMPLE_PATH`` is the file people start with, ``SMALL_PATH`` a clean and balanced sixty records. How they are made, and
what is wrong in the first one on purpose: ``datasets_app.sample.generate``.
"""

from __future__ import annotations

from pathlib import Path

SAMPLE_PATH = Path(__file__).with_name("support_traces.jsonl")
SMALL_PATH = Path(__file__).with_name("support_small.jsonl")

LABELS = ("billing", "shipping", "returns", "account", "technical", "sales")

SYSTEM_PROMPT = (
    "You route requests at the help desk of Larkmoor, a shop for connected household goods. "
    f"Sort the support request into one of: {', '.join(LABELS)}. Answer with the one word only."
)

# One example per label, the same in every record: they lift a small untuned model off zero, and cost little because the
# prompt prefix that all records share is computed once.
EXAMPLE_TURNS = (
    ("I was billed for two seats.", "billing"),
    ("The box never came and it is urgent.", "shipping"),
    ("I want my money back for the shoes.", "returns"),
    ("My nickname should be another one.", "account"),
    ("The screen stays black.", "technical"),
    ("What does the large tent cost?", "sales"),
)
