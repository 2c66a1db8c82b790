"""Ways in: a link that works once, and what is needed to make the first account.

The link carries the user's key and a fingerprint of (password, last sign-in), signed with SECRET_KEY: nothing is
stored, and any sign-in makes all older links worthless. For 24 hours it is as good as a password.
"""

from __future__ import annotations

from datetime import timedelta

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core import signing
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

SALT = "rft_project.web.signin"
VALID = timedelta(hours=24)


def _fingerprint(user: User) -> str:
    seen = user.last_login.isoformat() if user.last_login else ""
    return salted_hmac(SALT, f"{user.pk}:{user.password}:{seen}", algorithm="sha256").hexdigest()[:32]


def sign_in_link(user: User) -> str:
    """Path of a link that signs ``user`` in: valid for 24 hours, for one use, until any other sign-in."""
    token = signing.dumps([user.pk, _fingerprint(user)], salt=SALT)
    return reverse("sign_in_by_link", args=[token])


def redeem(token: str) -> User | None:
    """The user of a link that still works, and the link does not work again; None for any other token.

    Of two requests with one link, one wins: the sign-in is claimed by a conditional UPDATE of ``last_login``.
    """
    try:
        pk, fingerprint = signing.loads(token, salt=SALT, max_age=VALID)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    users = get_user_model().objects
    user = users.filter(pk=pk, is_active=True).first()
    if user is None or not constant_time_compare(fingerprint, _fingerprint(user)):
        return None
    now = timezone.now()
    if not users.filter(pk=user.pk, last_login=user.last_login).update(last_login=now):
        return None
    user.last_login = now
    return user


def ensure_user(username: str) -> User:
    """The account of that name; made without a password when missing. The very first is the owner."""
    users = get_user_model().objects
    user = users.filter(username=username).first()
    if user is not None:
        return user
    first = not users.exists()
    user = users.model(username=username, is_staff=first, is_superuser=first)
    user.set_unusable_password()
    user.save(force_insert=True)
    return user
