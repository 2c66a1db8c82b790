"""Addresses that platforms call, not people: no sign-in, no form token, but a signature."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from rft_project.connections import hooks
from wizard_app.hooks import take


@csrf_exempt
@login_not_required
@never_cache
@require_POST
def openai(request: HttpRequest, pk: UUID) -> HttpResponse:
    """404 for everything that is not proven, so that nobody learns which connections there are."""
    length = request.headers.get("Content-Length", "")
    if not length.isdecimal() or int(length) > hooks.MOST_BYTES:
        raise Http404
    found = hooks.received(pk, request.body, request.headers)
    if found is None:
        raise Http404
    take(*found)
    return HttpResponse(status=204)
