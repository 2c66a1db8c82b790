"""Is the last number of the answer the right one?"""

import re

TOLERANCE = 1e-6
NUMBER = re.compile(r"(?:(?<!\w)[-\u2212])?[$\u20ac\u00a3]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?")


def last_number(text):
    found = NUMBER.findall(str(text))
    return float(re.sub(r"[,$\u20ac\u00a3]", "", found[-1].replace("\u2212", "-"))) if found else None


def grade(sample, item):
    """1 where the last number of the answer is the reference's, within the tolerance: relative, absolute below 1."""
    right = last_number(item["reference_answer"])
    if right is None:
        raise ValueError("the reference answer has no number in it")
    found = last_number(sample["output_text"])
    return 1.0 if found is not None and abs(found - right) <= TOLERANCE * max(1.0, abs(right)) else 0.0
