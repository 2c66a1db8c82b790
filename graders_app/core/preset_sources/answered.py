"""Does the answer say anything of its own?"""


def words(text):
    return set(str(text).lower().split())


def grade(sample, item):
    """1 where there are words of the answer's own, 0 where it is empty or only repeats the question."""
    answer = words(sample["output_text"])
    if not any(char.isalnum() for char in sample["output_text"]):
        return 0.0
    return 0.0 if answer <= words(item.get("user_message") or "") and len(answer) > 3 else 1.0
