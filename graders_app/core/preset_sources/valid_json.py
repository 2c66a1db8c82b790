"""Is the answer a JSON object?"""

import json


def grade(sample, item):
    try:
        value = json.loads(sample["output_text"])
    except (ValueError, RecursionError):
        return 0.0
    return 1.0 if isinstance(value, dict) else 0.0
