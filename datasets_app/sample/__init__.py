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

# Two examples per label, the same in every record: they lift a small untuned model off zero (SmolLM2-135M, greedy:
# about 0.3 right; with one example per label 0.13), and cost little because the prefix that all prompts share is
# computed once.
EXAMPLE_TURNS = (
    ("Why did you take 12 euros from my bank card?", "billing"),
    ("Where is my package? It was sent on Monday.", "shipping"),
    ("The shoes do not fit, can I send them back?", "returns"),
    ("I forgot the password and cannot sign in.", "account"),
    ("The radio makes no sound and the light blinks.", "technical"),
    ("Do you sell tents, and what do they cost?", "sales"),
    ("I was billed for two seats and used only one. Please check the payment.", "billing"),
    ("The box never came and it is urgent. What does the driver say?", "shipping"),
    ("I want my money back for the shoes. They are too tight, so I would send them back.", "returns"),
    ("My nickname should be another one. Where is that in my profile?", "account"),
    ("The screen of the radio stays black when I press the button.", "technical"),
    ("What does the large tent cost, and would you give a discount for five?", "sales"),
)
