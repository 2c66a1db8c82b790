"""Rules for what opens something: keys of services by their shapes, passwords and tokens by the word before them."""

from __future__ import annotations

import base64
import binascii
import re

from datasets_app.core.pii.checksums import entropy
from datasets_app.core.pii.rules import Check, Rule, Span
from datasets_app.core.records import Unreadable, decode_json

_DATABASES = "postgres|postgresql|mysql|mariadb|mongodb|redis|rediss|amqp|amqps|mssql|sqlserver|oracle|clickhouse"
_SAMPLE = re.compile(  # what manuals and templates write in the place of a secret
    r"(?i)example|sample|placeholder|redacted|changeme|your[-_ ]|my[-_]?(?:secret|token|key|pass)"
    r"|<|\$\{|\{\{|%\(|\.\.\.|…|\*{3}|x{4}"
)
_LONGEST_KEY = 20_000  # characters of a PEM block


def random_enough(bits: float, *, mixed: bool = True) -> Check:
    """``bits``: Shannon entropy per character that is too much for words; ``mixed``: letters and digits both."""

    def check(text: str, start: int, end: int) -> Span | None:
        value = text[start:end]
        if _SAMPLE.search(value) or entropy(value) < bits:
            return None
        good = not mixed or (any(c.isdigit() for c in value) and any(c.isalpha() for c in value))
        return (start, end) if good else None

    return check


_KEY = random_enough(3.0)
_HEX = random_enough(2.8)


def _private_key(text: str, start: int, end: int) -> Span | None:
    """The whole block; without its last line, as far as it looks like one."""
    limit = min(len(text), start + _LONGEST_KEY)
    close = text.find("-----END", end, limit)
    if close >= 0:
        last = text.find("-----", close + 8, min(limit, close + 80))
        return start, last + 5 if last >= 0 else close + 8
    while end < limit and (text[end].isalnum() or text[end] in "+/=\\ \r\n:,-"):
        end += 1
    return start, end


def _with_password(text: str, start: int, end: int) -> Span | None:
    user, _, host = text[start:end].partition("://")[2].partition("@")
    password = user.partition(":")[2]
    while end > start and text[end - 1] in ".,;:!?)":
        end -= 1
    return None if not host or not password or _SAMPLE.search(password) or password.startswith("$") else (start, end)


def _jwt(text: str, start: int, end: int) -> Span | None:
    """Its head decodes to an object that names the algorithm."""
    head = text[start:end].partition(".")[0]
    try:
        found = decode_json(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, binascii.Error, Unreadable):
        return None
    return (start, end) if isinstance(found, dict) and "alg" in found else None


_WORDS = re.compile(
    r"(?i)true|false|null|none|required|optional|incorrect|invalid|expired|string|hidden|reset|forgot\w*"
)


def _password(text: str, start: int, end: int) -> Span | None:
    """After a sign a password may be anything but a word of code; after "is" it must not look like a word at all."""
    while end > start and text[end - 1] in ".,;:!?)]}":
        end -= 1
    value = text[start:end]
    classes = sum(
        any(test(c) for c in value) for test in (str.islower, str.isupper, str.isdigit, lambda c: not c.isalnum())
    )
    assigned = text[max(0, start - 4) : start].rstrip(" \"'\\").endswith((":", "="))
    if len(value) < 6 or _WORDS.fullmatch(value) or _SAMPLE.search(value) or len(set(value)) < 4:
        return None
    if value.startswith(("os.", "process.", "self.", "config.", "settings.", "http", "get", "$", "/")) or "(" in value:
        return None
    return (start, end) if classes >= 2 and (assigned or any(c.isdigit() for c in value)) else None


_QUOTED = r"[\"'\\]{0,3}\s{0,3}(?:[:=]|=>|:=)\s{0,3}[\"'\\]{0,3}"  # between a name and its value in code and JSON

SECRETS: tuple[Rule, ...] = (
    Rule("private_key", r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----", _private_key),
    Rule(
        "database_url",
        rf"(?i:\b(?:{_DATABASES})(?:\+\w+)?)://[^\s:/@<>\"']*:[^\s@<>\"']+@[^\s<>\"'`\\]+",
        _with_password,
    ),
    Rule(
        "credential_url",
        r"(?i:\b(?:https?|ftps?|ssh|sftp|ldaps?|smtps?|git\+https)://)[^\s:/@<>\"']*:[^\s/@<>\"']+@[^\s<>\"'`\\]+",
        _with_password,
    ),
    Rule("jwt", r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", _jwt),
    Rule("anthropic_key", r"\bsk-ant-[\w-]{20,}", _KEY),
    Rule("openai_key", r"\bsk-[\w-]{20,}", _KEY),
    Rule("ai_key", r"\b(?:gsk_|xai-|pplx-|r8_|dapi|nvapi-)[\w-]{30,}", _KEY),
    Rule("github_token", r"\b(?:gh[pousr]_[0-9A-Za-z]{36,255}|github_pat_\w{22,255})\b", _KEY),
    Rule("gitlab_token", r"\bgl(?:pat|dt|ptt|rt|cbt|soat|ft|imt|agent|oas|ffct)-[\w-]{20,}", _KEY),
    Rule("slack_token", r"\bxox[abeoprs]-[0-9A-Za-z-]{10,}|\bxapp-\d-[0-9A-Za-z-]{10,}", _HEX),
    Rule("slack_token", r"https://hooks\.slack\.com/(?:services|workflows)/[\w/]{30,}", _HEX),
    Rule("stripe_key", r"\b(?:[sr]k_(?:test|live|prod)|whsec)_[0-9A-Za-z]{16,}", _KEY),
    Rule("google_key", r"\bAIza[\w-]{35}|\bGOCSPX-[\w-]{28}|\bya29\.[\w-]{20,}", _KEY),
    Rule("azure_key", r"(?:AccountKey|SharedAccessKey)=([A-Za-z0-9+/]{40,90}={0,2})", _KEY, group=1),
    Rule("azure_key", r"[?&]sig=([\w%+/-]{40,90}={0,2})", _KEY, group=1),
    Rule("azure_key", r"\b[\w~.]{3}\dQ~[\w~.-]{31,34}", _KEY),
    Rule("aws_access_key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b", random_enough(2.8, mixed=False)),
    Rule(
        "aws_secret_key",
        rf"(?i:\b(?:aws[ _-]?)?secret[ _-]?(?:access[ _-]?)?key){_QUOTED}([A-Za-z0-9/+]{{40}})\b",
        random_enough(3.5),
        group=1,
    ),
    Rule("huggingface_token", r"\bhf_[A-Za-z0-9]{30,40}\b", random_enough(3.0, mixed=False)),
    Rule("npm_token", r"\bnpm_[A-Za-z0-9]{36}\b", _KEY),
    Rule("pypi_token", r"\bpypi-AgE[\w-]{40,}", _KEY),
    Rule("sendgrid_key", r"\bSG\.[\w-]{16,32}\.[\w-]{16,64}", _KEY),
    Rule("twilio_key", r"\bSK[0-9a-f]{32}\b", _HEX),
    Rule("shopify_token", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b", _HEX),
    Rule("digitalocean_token", r"\bdo[opr]_v1_[a-f0-9]{64}\b", _HEX),
    Rule("telegram_token", r"\b\d{8,10}:AA[\w-]{33}\b", _KEY),
    Rule("mail_key", r"\bkey-[0-9a-f]{32}\b|\b[0-9a-f]{32}-us\d{1,2}\b", _HEX),
    Rule(
        "password",
        r"(?i:pass(?:word|wd|phrase|wort)?|pwd|contraseña|mot de passe)"
        r"(?:" + _QUOTED + r"|(?i: is)[ :\"']{1,3})([^\s\"'<>,;\\`]{6,128})",
        _password,
        group=1,
    ),
    Rule(
        "secret_token",
        r"(?i:api[ _-]?key|client[ _-]?secret|secret(?:[ _-]?key)?|token|credentials?)"
        r"(?:" + _QUOTED + r"|(?i: is)[ :\"']{1,3})([\w./+=~-]{16,512})",
        random_enough(3.3),
        group=1,
    ),
    Rule("secret_token", r"(?i:\bbearer|\bbasic)\s{1,2}([\w./+=~-]{20,512})", random_enough(3.5), group=1),
)
