"""Types of the requests views get."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class Request(HttpRequest):
    """A request of somebody who is signed in (every view that is not ``login_not_required`` gets one)."""

    htmx: HtmxDetails
    user: User
