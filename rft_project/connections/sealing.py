"""Credentials at rest: AES-256-GCM, bound to the row they belong to.

A sealed value is ``v1.<key id>.<base64 of nonce and ciphertext>``. The first key of ``FIELD_ENCRYPTION_KEYS`` seals,
all keys open, so that keys can be rotated. The row's identity is authenticated with the value: a ciphertext copied
into another row does not open. Anything wrong raises; nothing is ever handed back unopened.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

NONCE = 12


class SealError(Exception):
    """A stored secret could not be opened."""


def new_key() -> str:
    """A fresh key in the form ``FIELD_ENCRYPTION_KEYS`` takes."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _keys() -> dict[str, bytes]:
    keys = {}
    for text in settings.FIELD_ENCRYPTION_KEYS:
        try:
            key = base64.urlsafe_b64decode(text)
        except (ValueError, binascii.Error):
            key = b""
        if len(key) != 32:
            raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS must hold 32-byte keys in URL-safe base64.")
        keys[hashlib.sha256(key).hexdigest()[:8]] = key
    if not keys:
        raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS must hold at least one key.")
    return keys


def check_keys() -> None:
    """Raises ImproperlyConfigured unless the server has at least one key, all of them of the right form."""
    _keys()


def seal(plain: str, bound_to: str) -> str:
    """Encrypt ``plain`` so that it opens only together with ``bound_to`` (the row's identity)."""
    key_id, key = next(iter(_keys().items()))
    nonce = secrets.token_bytes(NONCE)
    body = nonce + AESGCM(key).encrypt(nonce, plain.encode(), bound_to.encode())
    return f"v1.{key_id}.{base64.urlsafe_b64encode(body).decode()}"


def unseal(sealed: str, bound_to: str) -> str:
    """Raises SealError if the value was changed, belongs to another row, or its key is gone."""
    try:
        version, key_id, text = sealed.split(".")
        body = base64.urlsafe_b64decode(text)
    except (ValueError, binascii.Error):
        raise SealError("A stored credential is not in the sealed form; enter it again.") from None
    key = _keys().get(key_id)
    if version != "v1" or key is None:
        raise SealError("A stored credential was sealed with a key this server does not have; enter it again.")
    try:
        return AESGCM(key).decrypt(body[:NONCE], body[NONCE:], bound_to.encode()).decode()
    except InvalidTag:
        raise SealError("A stored credential was changed or moved and cannot be opened; enter it again.") from None


def key_id_of(sealed: str) -> str:
    """Id of the key a value was sealed with (for rotation)."""
    return sealed.split(".")[1] if sealed.count(".") == 2 else ""


def current_key_id() -> str:
    return next(iter(_keys()))
