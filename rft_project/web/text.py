"""Numbers, times and foreign text as people read them. Pure functions; ``templatetags/ui.py`` makes filters of them.

``None`` becomes an en dash everywhere, so that a missing figure is never shown as 0.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

NBSP, MINUS, NONE = "\u00a0", "\u2212", "\u2013"
Figure = int | float | Decimal | None

# Controls, zero-width, bidirectional and other invisible characters, tag characters, Hangul fillers.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e007f]"
)
HIDDEN_NAMES = {"\xad": "soft hyphen", "\ufeff": "zero width no-break space", "\x00": "null"}
JOINERS = "\u200c\u200d"


def joined(pattern: str, rows: Iterable[Sequence[object]], between: str = "\n") -> SafeString:
    """What ``format_html_join`` gives, in a quarter of its time: a loop over many cells is most of what a page costs.

    ``pattern`` is HTML of ours with a place ``{}`` per cell; every cell is escaped but those that were marked safe.
    """
    return SafeString(between.join([pattern.format(*map(escaped, row)) for row in rows]))


def escaped(value: object) -> SafeString:
    """``value`` as text in HTML; what was marked safe stays as it is."""
    return value if isinstance(value, SafeString) else SafeString(html.escape(str(value)))


def _missing(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and not math.isfinite(value))


def _signed(text: str) -> str:
    return text.replace("-", MINUS)


def number(value: Figure, places: int = 0) -> str:
    """Comma thousands: 2640 -> "2,640"; ``places`` decimals for what is not whole."""
    if _missing(value):
        return NONE
    return _signed(f"{value:,.{places}f}")


def percent(value: Figure, places: int = 1) -> str:
    """Share 0 to 1 as "94.6 %" with a no-break space; no ".0"; a tiny share says "under 0.1 %"."""
    if value is None or _missing(value):
        return NONE
    hundred = float(value) * 100
    smallest = 10**-places
    if 0 < hundred < smallest / 2:
        return f"under {smallest:.{places}f}{NBSP}%"
    if 100 - smallest / 2 <= hundred < 100:  # 99.97 % is not all of it
        return f"over {100 - smallest:.{places}f}{NBSP}%"
    text = f"{hundred:,.{places}f}"
    if places and text.endswith("." + "0" * places):
        text = text[: -places - 1]
    return f"{_signed(text)}{NBSP}%"


def score(value: Figure, places: int = 2) -> str:
    """Reward or score with two places: 0.5 -> "0.50"; a true minus sign; no "−0.00"."""
    if _missing(value):
        return NONE
    text = f"{value:.{places}f}"
    return _signed(text) if float(text) else text.replace("-", "")


def change(value: Figure, places: int = 2) -> str:
    """Difference of two scores, always with its sign: "+0.13", "−0.04"; nothing changed is "0.00"."""
    text = score(value, places)
    return f"+{text}" if not _missing(value) and float(f"{value:.{places}f}") > 0 else text


def duration(seconds: Figure) -> str:
    """Two units at most: "8 s", "6 min", "2 h 20 min", "3 d 4 h"; under one second is "under 1 s"."""
    if seconds is None or _missing(seconds):
        return NONE
    total = float(seconds)
    if total < 1:
        return f"under 1{NBSP}s" if total > 0 else f"0{NBSP}s"
    whole = round(total)
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for index, (name, size) in enumerate(units):
        if whole < size:
            continue
        first, rest = divmod(whole, size)
        if name == "s" or (name == "min" and first >= 10):  # seconds beside ten minutes are noise
            return f"{first if name == 's' else round(whole / 60)}{NBSP}{name}"
        second_name, second_size = units[index + 1]
        second = rest // second_size
        tail = f"{NBSP}{second}{NBSP}{second_name}" if second else ""
        return f"{first}{NBSP}{name}{tail}"
    return NONE


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """ "just now", "40 s ago", "3 days ago", from a week on the date "3 Mar 2026"."""
    if moment is None:
        return "never"
    seconds = ((now or timezone.now()) - moment).total_seconds()
    if seconds < 10:
        return "just now"
    for limit, size, word in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // size)}{NBSP}{word} ago"
    days = int(seconds // 86400)
    if days < 7:
        return f"{days} day{'s' if days > 1 else ''} ago"
    return f"{moment.day} {moment:%b %Y}"


def usd(value: Figure) -> str:
    """US dollars, 0 is "free": "1.10 USD"; below one cent the first two digits that count, "0.0067 USD"."""
    if value is None or _missing(value):
        return NONE
    amount = float(value)
    if amount == 0:
        return "free"
    places = 2 if abs(amount) >= 0.01 else 1 - math.floor(math.log10(abs(amount)))
    return f"{_signed(f'{amount:,.{places}f}')}{NBSP}USD"


def dollars(value: Figure) -> str:
    """As ``usd``, but 0 is an amount like any other: "0.00 USD"."""
    return f"0.00{NBSP}USD" if value is not None and not _missing(value) and float(value) == 0 else usd(value)


def tokens(value: Figure) -> str:
    """Token count: exact below 10,000, then "48 thousand", "9.1 million"."""
    if value is None or _missing(value):
        return NONE
    count = float(value)
    if count < 10_000:
        return number(count)
    if count < 999_500:
        return f"{count / 1000:,.0f}{NBSP}thousand"
    return f"{count / 1_000_000:,.1f}{NBSP}million"


def size(count: Figure) -> str:
    """Bytes as people read them, in steps of 1,000: "812 B", "4.2 MB", "51 GB"."""
    if count is None or _missing(count):
        return NONE
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.{0 if unit == 'B' or amount >= 9.95 else 1}f}{NBSP}{unit}"
        amount /= 1000
    return f"{amount:,.1f}{NBSP}TB"


def spaced(sentence: object) -> str:
    """ "55%" in a sentence becomes "55 %" with a no-break space, as everywhere on the pages."""
    return re.sub(r"(?<=\d)%", "\u00a0%", str(sentence))


def plural(count: Figure, one: str, many: str = "") -> str:
    """ "1 record", "2,640 records"."""
    return f"{number(count)}{NBSP}{one if count == 1 else many or one + 's'}"


def _is_pictograph(char: str) -> bool:
    return unicodedata.category(char) in {"So", "Sk"} or char == "\ufe0f"


def _spells(text: str, at: int) -> bool:
    """Is the joiner (or non-joiner) at ``at`` part of the spelling: inside an emoji, or a word of a joining script?"""
    if text[at] not in JOINERS or not 0 < at < len(text) - 1:
        return False
    before, after = text[at - 1], text[at + 1]
    if text[at] == "\u200d" and _is_pictograph(before) and _is_pictograph(after):
        return True
    return unicodedata.category(before) in {"Lo", "Mn"} and unicodedata.category(after) == "Lo"


def visible(value: object) -> SafeString:
    """Escape text and put a mark in place of every character that hides itself or turns the reading direction.

    Joiners that belong to an emoji or to the spelling of Persian or Indic words stay. A value that was marked safe
    is escaped all the same: what comes from a trace is never HTML.
    """
    text = str(value) + ""  # adding a plain string takes the safe mark off
    if (text.isascii() and text.isprintable()) or not HIDDEN.search(text):
        return escaped(text)
    out: list[str] = []
    last = 0
    for match in HIDDEN.finditer(text):
        at, char = match.start(), match.group()
        if _spells(text, at):
            continue
        out.append(text[last:at])
        last = at + 1
        if char == "\r" and text[last : last + 1] == "\n":  # a Windows line end is a line end
            continue
        name = HIDDEN_NAMES.get(char) or unicodedata.name(char, "control character").lower()
        out.append(format_html('<span class="ctl" title="{}">U+{}</span>', name, f"{ord(char):04X}"))
    out.append(text[last:])
    return joined("{}", ((piece,) for piece in out), "")


def attr(value: object) -> str:
    """A number or id as it must stand in an attribute: without the thousands commas templates put into text."""
    return str(value)
