"""What is searched and what is asked for, as words: the same ones on every database.

Databases split text into words each in their own way. So the words are made here: letters and digits in small letters
without accents, each character of scripts that write no spaces a word of its own. What is stored is these words with
spaces between them, which both databases split alike.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from datasets_app.core.records import Trace, user_turns
from rft_project.platforms.types import text_of

SEARCHED = 2000  # characters of a record that are searched: its last user turn first, then its answer, then the rest
MOST_TERMS = 12
LONGEST_WORD = 60
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f\uac00-\ud7af"
_WORD = re.compile(f"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\\W_])+")
_QUERY = re.compile(r'"([^"]*)"?|(\S+)')


@dataclass(frozen=True)
class Term:
    """Words that must stand in this order next to each other; of the last one the beginning is enough if ``prefix``."""

    words: tuple[str, ...]
    prefix: bool = False


def words_of(text: str) -> list[str]:
    """The words of a text as they are stored and asked for."""
    text = text.lower()
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
        text = unicodedata.normalize("NFC", text).lower()
    return [word[:LONGEST_WORD] for word in _WORD.findall(text)]


def searched_words(trace: Trace) -> str:
    """What is stored of a record for searching: words of the user's turns and of the output, with spaces between."""
    turns = user_turns(trace)
    answers = [text_of(message.get("content")) for message in trace.output_messages]
    parts = [*turns[-1:], *answers, *turns[:-1]]
    return " ".join(words_of(" ".join(part[:SEARCHED] for part in parts)[:SEARCHED]))


def terms_of(query: str) -> list[Term]:
    """What somebody typed: words, ``begin*``, ``"phrases in quotes"``. Never fails; what is no word is left out."""
    terms: list[Term] = []
    for quoted, bare in _QUERY.findall(query):
        words = words_of(quoted or bare)
        if words:
            terms.append(Term(tuple(words), bare.endswith("*")))
    return list(dict.fromkeys(terms))[:MOST_TERMS]
