"""Is what the tools said used?"""

import re

TELLING = re.compile(r"\d[\d.,:/-]*\d|\d|[A-Z][A-Z0-9_-]{2,}")


def text_of(message):
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return content or ""


def grade(sample, item):
    """Where tools have answered: whether the answer repeats a number or code of theirs that the user did not name.

    Before any tool has answered there is nothing to use, and calling one is all that can be asked.
    """
    messages = item.get("messages") or []
    told = set(TELLING.findall(" ".join(text_of(m) for m in messages if m.get("role") == "tool")))
    told -= set(TELLING.findall(" ".join(text_of(m) for m in messages if m.get("role") == "user")))
    if not told:
        return 1.0 if sample["output_tools"] else 0.0
    return 1.0 if told & set(TELLING.findall(sample["output_text"])) else 0.0
