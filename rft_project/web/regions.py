"""Live regions. One region = one partial = one view = one URL name = one DOM id, all spelled the same.

``coverage`` is ``templates/datasets_app/_coverage.html`` with ``id="coverage"`` on its root, the view ``coverage``, the
URL ``…/regions/coverage/`` named ``coverage``. A region says itself how it stays alive (``{% live %}``): no trigger in
the HTML, nothing to stop. See ``templatetags/ui.py`` for the tag.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.cache import patch_vary_headers


class SeeOther(HttpResponseRedirect):
    """303: after a POST the browser asks with GET."""

    status_code = 303


def region(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any],
    *,
    version: object = None,
    status: int = 200,
    trigger: str | None = None,
    page: str = "",
    toast: str = "",
    refresh: bool = False,
) -> HttpResponse:
    """Answer for one live region.

    ``version``: anything that changes when the content does (``job.version``). A GET with ``?seen=`` equal to it gets
    204, and the page stays untouched. ``trigger``: event for the other regions ("dataset-changed"), pass it when this
    render is the last one; it is sent on polls and commands only, so that a refresh caused by it cannot cause another.
    ``page``: URL of the page that owns the region; outside htmx one is sent there. ``toast``: one sentence shown
    floating. ``refresh``: the work the region showed has ended and changed the whole page; a poll is told to load it
    anew. ``status`` 422 shows a form's errors (htmx swaps it; see base.html).
    """
    if not getattr(request, "htmx", False) and page:
        response: HttpResponse = SeeOther(page)
        patch_vary_headers(response, ["HX-Request"])
        return response
    seen = request.GET.get("seen")
    if request.method == "GET" and version is not None and seen == str(version):
        response = HttpResponse(status=204)
    else:
        response = render(request, template, dict(context), status=status)
        if refresh and seen is not None:
            response["HX-Refresh"] = "true"
        events: dict[str, str] = {}
        if trigger and (seen is not None or request.method == "POST"):
            events[trigger] = ""
        if toast:
            events["toast"] = toast
        if events:
            response["HX-Trigger"] = json.dumps(events)
    patch_vary_headers(response, ["HX-Request"])
    return response


class Work(Protocol):
    """What a region of work shows: ``version`` changes whenever it does, ``is_live`` while there is more to come."""

    @property
    def version(self) -> object: ...
    @property
    def is_live(self) -> bool: ...


def work_region(request: HttpRequest, template: str, panel: Work, *, page: str) -> HttpResponse:
    """A region that shows a page's work, as ``panel``; when the work has ended the page is loaded anew."""
    context = {"panel": panel}
    return region(request, template, context, version=panel.version, refresh=not panel.is_live, page=page)
