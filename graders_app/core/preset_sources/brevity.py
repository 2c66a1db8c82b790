"""Is the answer short enough?"""

TARGET_CHARS = 400


def grade(sample, item):
    """1 up to the target length, then target / length: twice as long scores a half."""
    length = len(sample["output_text"].strip())
    return min(1.0, TARGET_CHARS / length) if length else 0.0
