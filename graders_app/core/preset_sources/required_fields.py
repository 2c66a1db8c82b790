"""Has the answer the fields it must have?"""

import json

FIELDS = []


def grade(sample, item):
    """Share of the required fields that are there and not empty."""
    try:
        value = json.loads(sample["output_text"])
    except (ValueError, RecursionError):
        return 0.0
    if not isinstance(value, dict):
        return 0.0
    return sum(value.get(name) not in (None, "") for name in FIELDS) / len(FIELDS)
