"""Checksums and ranges that tell a number of a kind from any other number of its shape.

Every function takes text as it was found (separators allowed) and says whether it can be one.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from collections import Counter
from itertools import cycle

_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")  # twice a digit, the two digits of ten and more added up


def digits_of(text: str) -> str:
    if text.isascii() and text.isdecimal():
        return text
    return "".join(c for c in text if "0" <= c <= "9")


def alnum_of(text: str) -> str:
    return "".join(c for c in text if c.isascii() and c.isalnum()).upper()


def entropy(text: str) -> float:
    """Shannon entropy in bits per character: 0 for "aaaa", 4 at most for hex, about 4 to 5.5 for random base64."""
    if not text:
        return 0.0
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B, for ASCII digits."""
    raw = digits.encode()
    total = sum(raw[-1::-2]) + sum(raw[-2::-2].translate(_DOUBLED)) - 48 * len(raw)
    return total % 10 == 0


# Issuers by the first digits and the lengths they give out: (lowest, highest prefix), lengths.
_ISSUERS: tuple[tuple[int, int, frozenset[int]], ...] = (
    (4, 4, frozenset({13, 16, 19})),  # Visa
    (51, 55, frozenset({16})),  # Mastercard
    (2221, 2720, frozenset({16})),
    (34, 34, frozenset({15})),  # American Express
    (37, 37, frozenset({15})),
    (300, 305, frozenset(range(14, 20))),  # Diners Club
    (3095, 3095, frozenset(range(14, 20))),
    (36, 36, frozenset(range(14, 20))),
    (38, 39, frozenset(range(14, 20))),
    (6011, 6011, frozenset(range(16, 20))),  # Discover
    (644, 659, frozenset(range(16, 20))),
    (3528, 3589, frozenset(range(16, 20))),  # JCB
    (1800, 1800, frozenset({15})),
    (2131, 2131, frozenset({15})),
    (62, 62, frozenset(range(16, 20))),  # UnionPay
    (2200, 2204, frozenset(range(16, 20))),  # Mir
    (5018, 5018, frozenset(range(12, 20))),  # Maestro
    (5020, 5020, frozenset(range(12, 20))),
    (5038, 5038, frozenset(range(12, 20))),
    (56, 58, frozenset(range(12, 20))),
    (6304, 6304, frozenset(range(12, 20))),
    (6390, 6390, frozenset(range(12, 20))),
    (67, 67, frozenset(range(12, 20))),
    (508, 508, frozenset({16})),  # RuPay
    (60, 60, frozenset({16})),
    (81, 82, frozenset({16})),
)


def card(text: str) -> bool:
    """A card number: an issuer's prefix with a length it gives out, and the Luhn digit."""
    digits = digits_of(text)
    if not 12 <= len(digits) <= 19 or len(set(digits)) < 2:
        return False
    return (
        luhn(digits)
        and any(  # in this order: nine of ten numbers that are no card fail the digit
            len(digits) in lengths and low <= int(digits[: len(str(low))]) <= high for low, high, lengths in _ISSUERS
        )
    )


# Length of an IBAN by country, from the IBAN registry (SWIFT, release 99).
IBAN_LENGTHS: dict[str, int] = {
    code: length
    for length, codes in {
        15: "NO",
        16: "BE",
        18: "DK FI FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC SM",
        28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for code in codes.split()
}


def iban(text: str) -> bool:
    """ISO 13616: the country's length, and 1 modulo 97 (ISO/IEC 7064)."""
    code = alnum_of(text)
    if IBAN_LENGTHS.get(code[:2]) != len(code) or not code[2:4].isdigit():
        return False
    return int("".join(str(int(c, 36)) for c in code[4:] + code[:4])) % 97 == 1


def us_ssn(text: str) -> bool:
    """Not the areas 000, 666 and 900 to 999, no zero group or serial, none of the numbers printed in advertisements."""
    digits = digits_of(text)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    barred = area in ("000", "666") or area[0] == "9" or group == "00" or serial == "0000"
    return len(digits) == 9 and not barred and digits not in ("078051120", "219099999", "123456789")


def uk_nino(text: str) -> bool:
    return alnum_of(text)[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def de_tax_id(text: str) -> bool:
    """Eleven digits; among the first ten one digit stands twice or thrice; check digit of ISO/IEC 7064 MOD 11,10."""
    digits = digits_of(text)
    if len(digits) != 11 or digits[0] == "0" or max(Counter(digits[:10]).values()) not in (2, 3):
        return False
    product = 10
    for char in digits[:10]:
        product = ((int(char) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def es_nif(text: str) -> bool:
    """The letter is the number modulo 23; X, Y, Z of a foreigner's number count 0, 1, 2."""
    code = alnum_of(text)
    number = code[:-1].translate(str.maketrans("XYZ", "012"))
    return number.isdigit() and "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == code[-1]


_ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", [1, 0, 5, 7, 9, 13, 15, 17, 19, 21] * 2, strict=False)) | dict(
    zip("KLMNOPQRSTUVWXYZ", [2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23], strict=True)
)


def it_codice_fiscale(text: str) -> bool:
    """The last letter is the sum of the others, odd and even places counted by different tables, modulo 26."""
    code = alnum_of(text)
    if len(code) != 16:
        return False
    total = sum(_ODD[c] if place % 2 == 0 else int(c, 36) - 10 * c.isalpha() for place, c in enumerate(code[:15]))
    return chr(ord("A") + total % 26) == code[15]


def ch_ahv(text: str) -> bool:
    """Thirteen digits from 756 with the check digit of EAN-13."""
    digits = digits_of(text)
    return len(digits) == 13 and sum(int(c) * w for c, w in zip(digits, cycle((1, 3)), strict=False)) % 10 == 0


def fr_nir(text: str) -> bool:
    """Thirteen characters and a key: 97 minus the number modulo 97; Corsica's 2A and 2B count as 19 and 18."""
    code = alnum_of(text).replace("2A", "19").replace("2B", "18")
    return len(code) == 15 and code.isdigit() and 97 - int(code[:13]) % 97 == int(code[13:])


def se_personnummer(text: str) -> bool:
    digits = digits_of(text)[-10:]
    return 1 <= int(digits[2:4]) <= 12 and 1 <= int(digits[4:6]) % 60 <= 31 and luhn(digits)


def br_cpf(text: str) -> bool:
    digits = digits_of(text)
    if len(digits) != 11 or len(set(digits)) == 1:
        return False
    for length in (9, 10):
        total = sum(int(c) * (length + 1 - place) for place, c in enumerate(digits[:length]))
        if total * 10 % 11 % 10 != int(digits[length]):
            return False
    return True


# Verhoeff: the multiplication of the dihedral group D5 and the powers of its permutation.
_TIMES = [[(a + b) % 5 if a < 5 else 5 + (a - b) % 5 for b in range(5)] for a in range(10)]
_TIMES = [row + [5 + (a + b) % 5 if a < 5 else (a - b) % 5 for b in range(5)] for a, row in enumerate(_TIMES)]
_POWERS = [list(range(10))]
for _ in range(7):
    _POWERS.append([_POWERS[-1][n] for n in (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)])


def in_aadhaar(text: str) -> bool:
    digits = digits_of(text)
    check = 0
    for place, char in enumerate(reversed(digits)):
        check = _TIMES[check][_POWERS[place % 8][int(char)]]
    return len(digits) == 12 and digits[0] not in "01" and check == 0


def _weighted(digits: str, weights: tuple[int, ...], modulus: int) -> bool:
    return (
        len(digits) == len(weights)
        and len(set(digits)) > 1
        and sum(int(c) * w for c, w in zip(digits, weights, strict=True)) % modulus == 0
    )


def nl_bsn(text: str) -> bool:
    return _weighted(digits_of(text), (9, 8, 7, 6, 5, 4, 3, 2, -1), 11)


def pl_pesel(text: str) -> bool:
    return _weighted(digits_of(text), (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), 10)


def ca_sin(text: str) -> bool:
    digits = digits_of(text)
    return len(digits) == 9 and digits[0] not in "08" and luhn(digits)


def au_tfn(text: str) -> bool:
    return _weighted(digits_of(text), (1, 4, 3, 7, 5, 8, 6, 9, 10), 11)


def ip_address(text: str) -> bool:
    """An address that leads to somebody: not one that every machine or router has, nor a network mask."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    common = address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local
    inside = any(address in network for network in _PRIVATE if network.version == address.version)
    return not common and not inside and not text.startswith(("255.", "0."))


# RFC 1918 and RFC 4193: the same addresses in every office.
_PRIVATE = [ipaddress.ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]


_BASE58 = {char: value for value, char in enumerate("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")}
_BECH32 = {char: value for value, char in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")}


def base58check(text: str) -> bool:
    """Bitcoin's addresses: 25 bytes, the last four of which begin the double SHA-256 of the others."""
    number = 0
    for char in text:
        number = number * 58 + _BASE58.get(char, 0)
    if number.bit_length() > 200:
        return False
    raw = number.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]


def bech32(text: str) -> bool:
    """BIP 173 and BIP 350: the checksum over ``bc`` and the data is 1 or 0x2bc830a3."""
    data = [_BECH32.get(char) for char in text[3:]]
    if None in data:
        return False
    check = 1
    for value in (3, 3, 0, 2, 3, *data):
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ (value or 0)
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> bit & 1 else 0
    return check in (1, 0x2BC830A3)
