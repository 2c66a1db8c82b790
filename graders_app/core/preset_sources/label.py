"""Right label, with partial credit."""

import re

LABELS = []


def plain(text):
    """Lower case, single spaces, no quotes around it and no punctuation at the end."""
    text = " ".join(str(text).lower().split())
    return text.strip("\"'`*").rstrip(" .,;:!?").strip("\"'`*")


# Longest first, so that a label inside a longer one does not count.
KNOWN = sorted({plain(label) for label in LABELS} - {""}, key=lambda label: (-len(label), label))
PATTERN = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, KNOWN)) + r")(?!\w)")


def grade(sample, item):
    right = plain(item["reference_answer"])
    answer = plain(sample["output_text"])
    if answer == right:
        return 1.0
    found = set(PATTERN.findall(answer))
    if found == {right}:
        return 0.5  # the right label, with words around it
    if found == {answer}:
        return 0.1  # a label, but the wrong one
    if len(found) > 1:
        return 0.05  # several labels: a guess
    return 0.0
