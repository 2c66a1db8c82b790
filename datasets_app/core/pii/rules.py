"""What finds a candidate, and what makes sure of it.

Patterns are written in what RE2 and ``re`` (with ``re.ASCII``) understand alike: no look-around, no back-references.
A check gets the text and the candidate's span and gives the span to report, or None. Most candidates of a shape
without a checksum count only beside a word that says what they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from datasets_app.core.pii import checksums as sums

Span = tuple[int, int]
Check = Callable[[str, int, int], Span | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """``pattern`` finds candidates of ``kind``; ``group`` is the part that is the value.

    ``again``: a refused candidate may hide a good one that begins inside it (a run of digits), so look there too.
    """

    kind: str
    pattern: str
    check: Check | None = None
    group: int = 0
    again: bool = False


def whole(test: Callable[[str], bool]) -> Check:
    """A check of the value alone."""

    def check(text: str, start: int, end: int) -> Span | None:
        return (start, end) if test(text[start:end]) else None

    return check


def _alone(text: str, start: int, end: int, glue: str) -> bool:
    """On neither side stands one of ``glue`` with a letter or digit beyond it: this is not the middle of something."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    left = len(before) == 2 and before[1] in glue and before[0].isalnum()
    right = len(after) == 2 and after[0] in glue and after[1].isalnum()
    return not left and not right


# --- mail and web ----------------------------------------------------------------------------------------------------

_FILES = frozenset(  # last parts of what is a file, not a host
    (
        "png",
        "jpg",
        "jpeg",
        "gif",
        "svg",
        "webp",
        "ico",
        "css",
        "js",
        "ts",
        "py",
        "md",
        "txt",
        "html",
        "json",
        "yml",
        "csv",
    )
)
_EDGE = "._%+'-"


def _email(text: str, start: int, end: int) -> Span | None:
    start += len(text[start:end]) - len(text[start:end].lstrip(_EDGE))
    local, _, domain = text[start:end].partition("@")
    last = domain.rpartition(".")[2].lower()
    if not local or len(local) > 64 or len(domain) > 253 or last in _FILES or ".." in local:
        return None
    return (
        None
        if local.lower() == "git" and domain.lower().startswith(("github.", "gitlab.", "bitbucket."))
        else (start, end)
    )


_CLOSING = {")": "(", "]": "[", "}": "{"}


def _url(text: str, start: int, end: int) -> Span | None:
    """Without the punctuation that ends the sentence, or a bracket that was opened before it."""
    while end > start:
        last = text[end - 1]
        opening = _CLOSING.get(last)
        if last in ".,;:!?*_~…" or (opening and text.count(opening, start, end) < text.count(last, start, end)):
            end -= 1
        else:
            break
    host = text[start:end].partition("://")[2] or text[start:end]
    return (start, end) if (len(host) >= 4 and "." in host) or host.startswith("localhost") else None


# --- phone -----------------------------------------------------------------------------------------------------------

_DATE = re.compile(
    r"\D*(?:(?:19|20)\d\d[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./](?:19|20)\d\d)(?!\d)", re.ASCII
)


def _phone(least: int, most: int = 15, glue: str = ".-/:") -> Check:
    """``glue``: what joins the digits on either side to these, so that they are the middle of something longer."""

    def check(text: str, start: int, end: int) -> Span | None:
        value = text[start:end]
        count = len(sums.digits_of(re.split("[xe]", value, maxsplit=1)[0]))
        if not least <= count <= most or _DATE.match(value) or len(set(sums.digits_of(value))) < 3:
            return None
        # a hyphen may lead on to a word ("788-063-Office"), but not to more digits
        more = text[max(0, start - 2) : start], text[end : end + 2]
        longer = any(len(side) == 2 and set(side) & set(glue) and any("0" <= c <= "9" for c in side) for side in more)
        return None if longer else (start, end)

    return check


def _phone_abroad(text: str, start: int, end: int) -> Span | None:
    """Not a sum ("700+350"); 00 needs a separator and may not go on from other digits: many numbers are padded."""
    value, before = text[start:end], text[max(0, start - 2) : start]
    padded = value.startswith("00") and (value.isdigit() or any(c.isdigit() for c in before))
    if padded or before[-1:].isalnum():
        return None
    return _phone(8, 15 + 2 * value.startswith("00"))(text, start, end)


_EXTENSION = r"(?: ?(?:x|ext\.?) ?\d{1,6})?"
_NUMBER = r"[+(]?\d(?:[ ().-]{0,3}\d){6,14}" + _EXTENSION
# From a zero, as one dials at home: 0961-7596216, 07700 063 966, 02 8747 6301, 03.93.92.16.85. Not the end of a date.
_AT_HOME = (
    r"\b0[1-9](?:\d{1,4}[ ./-]\d{5,8}|\d{1,4}(?:[ ./-]\d{2,5}){2,4}|[ ./-]\d{6,9}"
    r"|[ ./-]\d{3,4}(?:[ ./-]\d{2,4}){1,2}|(?:[ .-]\d{2}){4})\b"
)
_NAMED = (
    r"(?i:\b(?:tele)?(?:phone|fon|fono|fax)s?\b|\bt[eé]l\b|\bmobiles?\b|\bcell\b|\bhandy\b|\bm[oó]vil\b|\bcelular\b"
    r"|\bcellulare\b|\bportable\b|\bwhatsapp\b|\blandline\b|\bdesk\b|\bhotline\b)"
    r"(?i:(?:[ -](?:number|numbers|nummer|no|nr|num))?(?: is| are| was|:)?)[\s:.=#\"'(\\|-]{0,4}"
)
_ASKED = (
    r"(?i:\b(?:call|calling|called|ring|reach|text|dial|sms|contact)(?: (?:me|us|him|her|them|back)){0,2}"
    r"(?: (?:at|on|under|via))?|\banswering at|\bmessages? (?:to|at|on)|\bregistered(?: mobile| phone)?(?: number)?)"
    r"(?: number)?[ :]{1,3}"
)

# --- numbers with a check --------------------------------------------------------------------------------------------


def _iban(text: str, start: int, end: int) -> Span | None:
    """As many characters as the country has; what the pattern took beyond them is the next word."""
    wanted = sums.IBAN_LENGTHS.get(text[start : start + 2].upper(), 0)
    at, count = start, 0
    while at < end and count < wanted:
        count += text[at] != " "
        at += 1
    bounded = at == len(text) or not text[at].isalnum()
    return (start, at) if count == wanted and bounded and sums.iban(text[start:at]) else None


def _card(text: str, start: int, end: int) -> Span | None:
    return (start, end) if sums.card(text[start:end]) and _alone(text, start, end, "-.") else None


def _named_card(text: str, start: int, end: int) -> Span | None:
    """Beside the word "card" the check digit is enough: issuers' ranges are never complete."""
    digits = sums.digits_of(text[start:end])
    return (start, end) if 12 <= len(digits) <= 19 and len(set(digits)) > 1 and sums.luhn(digits) else None


def _ssn(text: str, start: int, end: int) -> Span | None:
    return (start, end) if sums.us_ssn(text[start:end]) and _alone(text, start, end, "-.") else None


def _ip(text: str, start: int, end: int) -> Span | None:
    """A version number has the same shape: five parts, or a word that says so."""
    before = text[max(0, start - 10) : start].lower().rstrip(" :=")
    if before.endswith(("version", "v", "ver.", "release")) or not _alone(text, start, end, "."):
        return None
    return (start, end) if sums.ip_address(text[start:end]) else None


def _ipv6(text: str, start: int, end: int) -> Span | None:
    """ "::" alone makes an address of words such as ``bad::cafe``: it needs a digit and three groups."""
    value = text[start:end]
    groups = [group for group in value.split(":") if group]
    good = len(groups) >= 3 and any(c.isdigit() for c in value) and sums.ip_address(value)
    return (start, end) if good and _alone(text, start, end, ":") else None


def _mac(text: str, start: int, end: int) -> Span | None:
    value = text[start:end]
    one_separator = len({c for c in value if c in ":-"}) == 1
    return (
        (start, end)
        if one_separator and len(set(sums.alnum_of(value))) > 1 and _alone(text, start, end, ":-")
        else None
    )


def _gps(text: str, start: int, end: int) -> Span | None:
    latitude, _, longitude = text[start:end].partition(",")
    return (start, end) if abs(float(latitude)) <= 90 and abs(float(longitude)) <= 180 else None


def _coin(text: str, start: int, end: int) -> Span | None:
    value = text[start:end]
    if value.startswith("0x"):
        good = len(set(value[2:].lower())) > 4
    else:
        good = sums.bech32(value) if value.startswith("bc1") else sums.base58check(value)
    return (start, end) if good else None


def _digits(least: int) -> Check:
    return whole(lambda value: len(sums.digits_of(value)) >= least)


_SAYS = (
    r"(?i:(?: (?:number|no\.?|nr\.?|id|code))?(?: is| was|:|=|#)?)[\s:=#\"'\\-]{0,4}"  # between a name and its value
)
_MONTH = r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_DAY = (
    r"(?:\d{1,4}[-./]\d{1,2}[-./]\d{2,4}|\d{1,2}(?:st|nd|rd|th)?(?: of)? " + _MONTH + r",? \d{4}"
    r"|" + _MONTH + r" \d{1,2}(?:st|nd|rd|th)?,? \d{4})"
)

PERSONAL: tuple[Rule, ...] = (
    Rule("email", r"[\w.%+'À-ɏ-]+@(?:[A-Za-z0-9À-ɏ-]+\.)+[A-Za-z]{2,24}\b", _email),
    Rule("url", r"(?i:\b(?:https?://|ftp://|www\.))[^\s<>\"'`\\{}|^]+", _url),
    Rule("iban", r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b", _iban, again=True),
    Rule("card", r"\b(?:\d{12,19}|\d{4}(?:[ -]\d{4}){3}(?:[ -]\d{3})?|\d{4}[ -]\d{6}[ -]\d{4,5})\b", _card, again=True),
    Rule("card", r"(?i:\bcards?\b)" + _SAYS + r"(\d(?:[ -]?\d){11,18})\b", _named_card, group=1),
    Rule("phone", r"(?:\+|\b00)[1-9](?:[ .()/-]{0,3}\d){6,14}" + _EXTENSION + r"\b", _phone_abroad),
    Rule("phone", r"(?:\(\d{3}\) ?|\b\d{3}[. -])\d{3}[. -]\d{4}" + _EXTENSION + r"\b", _phone(10), again=True),
    Rule("phone", _AT_HOME, _phone(9, 12, " .-/:"), again=True),
    Rule("phone", r"\(0?\d{1,4}\) ?\d{2,4}(?:[ .-]\d{2,4}){1,3}\b", _phone(8, 12)),
    Rule("phone", _NAMED + "(" + _NUMBER + r")\b", _phone(7), group=1),
    Rule("phone", _ASKED + "(" + _NUMBER + r")\b", _phone(7), group=1),
    Rule("phone", r"\b(\d[\d ().-]{5,16}\d)[ -]{0,2}\(?(?i:office|fax|mobile|cell|desk)\b", _phone(7, 12), group=1),
    Rule("ip_address", r"\b(?:\d{1,3}\.){3}\d{1,3}\b", _ip, again=True),
    Rule("ip_address", r"\b[0-9A-Fa-f]{1,4}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{1,4}\b", _ipv6),
    Rule("mac_address", r"\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b", _mac),
    Rule("gps", r"-?\b\d{1,2}\.\d{4,},\s?-?\d{1,3}\.\d{4,}\b", _gps),
    Rule("crypto_address", r"\b(?:bc1[a-z0-9]{11,71}|[13][1-9A-HJ-NP-Za-km-z]{25,34}|0x[0-9a-fA-F]{40})\b", _coin),
    Rule("us_ssn", r"\b\d{3}-\d{2}-\d{4}\b", _ssn),
    Rule("us_ssn", r"(?i:\bssn\b|\bsocial security\b)" + _SAYS + r"(\d{3} \d{2} \d{4}|\d{9})\b", _ssn, group=1),
    Rule(
        "uk_nino",
        r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b",
        whole(sums.uk_nino),
    ),
    Rule(
        "de_tax_id",
        r"(?i:\bsteuer-?id(?:entifikationsnummer)?\b|\bidnr\b|\btax id\b)" + _SAYS + r"(\d{2} ?\d{3} ?\d{3} ?\d{3})\b",
        whole(sums.de_tax_id),
        group=1,
    ),
    Rule("es_nif", r"\b(?:\d{8}|[XYZ]-?\d{7})-?[A-Z]\b", whole(sums.es_nif)),
    Rule(
        "it_codice_fiscale",
        r"\b[A-Za-z]{6}\d{2}[A-Ta-t]\d{2}[A-Za-z]\d{3}[A-Za-z]\b",
        whole(sums.it_codice_fiscale),
    ),
    Rule("ch_ahv", r"\b756\.?\d{4}\.?\d{4}\.?\d{2}\b", whole(sums.ch_ahv)),
    Rule("fr_nir", r"\b[12] ?\d{2} ?[0-9]{2} ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}\b", whole(sums.fr_nir)),
    Rule("se_personnummer", r"\b(?:19|20)?\d{6}[-+]\d{4}\b", whole(sums.se_personnummer)),
    Rule("br_cpf", r"\b\d{3}\.\d{3}\.\d{3}-\d{2}\b", whole(sums.br_cpf)),
    Rule("br_cpf", r"(?i:\bcpf\b)" + _SAYS + r"(\d{11})\b", whole(sums.br_cpf), group=1),
    Rule("in_aadhaar", r"\b[2-9]\d{3} \d{4} \d{4}\b", whole(sums.in_aadhaar)),
    Rule(
        "in_aadhaar", r"(?i:\baadhaar\b|\baadhar\b|\buidai\b)" + _SAYS + r"(\d{12})\b", whole(sums.in_aadhaar), group=1
    ),
    Rule("in_pan", r"\bPAN\b" + _SAYS + r"([A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z])\b", group=1),
    Rule("nl_bsn", r"(?i:\bbsn\b|\bburgerservicenummer\b)" + _SAYS + r"(\d{9})\b", whole(sums.nl_bsn), group=1),
    Rule("pl_pesel", r"(?i:\bpesel\b)" + _SAYS + r"(\d{11})\b", whole(sums.pl_pesel), group=1),
    Rule(
        "ca_sin",
        r"(?i:\bsin\b|\bsocial insurance\b)" + _SAYS + r"(\d{3}[ -]?\d{3}[ -]?\d{3})\b",
        whole(sums.ca_sin),
        group=1,
    ),
    Rule("au_tfn", r"(?i:\btfn\b|\btax file\b)" + _SAYS + r"(\d{3} ?\d{3} ?\d{3})\b", whole(sums.au_tfn), group=1),
    Rule("passport", r"(?i:\bpassport\b|\breisepass\b)" + _SAYS + r"([A-Za-z0-9]{6,9})\b", _digits(5), group=1),
    Rule(
        "driver_license",
        r"(?i:\bdriver'?s?'? licen[sc]e\b|\bdriving licen[sc]e\b|\bdl number\b)" + _SAYS + r"([A-Za-z0-9-]{6,18})\b",
        _digits(4),
        group=1,
    ),
    Rule(
        "birth_date",
        r"(?i:\bdob\b|\bdate of birth\b|\bbirth ?dates?\b|\bbirthday\b|\bborn(?: on)?\b|\bgeboren(?: am)?\b"
        r"|\bgeburtsdatum\b|\bfecha de nacimiento\b|\bdata di nascita\b|\bn[eé]e? le\b)"
        r"(?i:(?: is| was|:)?)[\s:=\"'\\-]{0,4}"
        r"(" + _DAY + r")\b",
        group=1,
    ),
)
