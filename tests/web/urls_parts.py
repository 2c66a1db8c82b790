"""A page with everything app.js has to do with: drawer links, live and failing regions, a copy button, a drop zone."""

from __future__ import annotations

import time
from itertools import count

from django.http import HttpRequest, HttpResponse
from django.template import RequestContext, Template
from django.urls import path

from rft_project.urls import urlpatterns as real

PAGE = """{% extends "base.html" %}{% block content %}
<h1>Parts</h1>
{% for pk in rows %}<p><a class="rowlink" id="row-{{ pk }}" href="#" data-drawer
  hx-get="/record/{{ pk }}/" hx-target="#drawer">Record {{ pk }}</a></p>{% endfor %}
<section id="ticks" {% live "/ticks/?" 0 every=1 %}>not yet</section>
<button class="btn" id="fail" type="button" hx-get="/fail/" hx-target="#result">Fail</button>
<form id="form" hx-post="/form/" hx-target="#result"><button class="btn" id="send">Send</button></form>
<div id="result"></div>
<pre id="code">print(1)</pre><button class="btn" id="copy" type="button" data-copy="code">Copy</button>
<form id="drop" class="drop" data-drop hx-post="/upload/" hx-encoding="multipart/form-data" hx-target="#result">
<input type="file" name="file"><progress hidden></progress><button class="btn" id="upload">Send</button></form>
<form method="get" action="/help/" data-confirm="Really?"><button class="btn" id="leave">Leave</button></form>
{% endblock %}"""
DRAWER = """<header><h2>Record {{ pk }}</h2><button class="btn small" type="button" data-close>Close</button></header>
<div>{{ text }}<script src="/static/evil.js"></script></div>"""
ticks = count(1)


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(Template(PAGE).render(RequestContext(request, {"rows": [1, 2, 3]})))


def record(request: HttpRequest, pk: int) -> HttpResponse:
    hostile = '<img src=x id="planted">'
    return HttpResponse(Template(DRAWER).render(RequestContext(request, {"pk": pk, "text": hostile})))


def tick(request: HttpRequest) -> HttpResponse:
    number = next(ticks)
    if number % 2:
        return HttpResponse(status=204)
    return HttpResponse(
        f'<section id="ticks">ended at {number}</section>', headers={"HX-Trigger": '{"toast": "Done."}'}
    )


def fail(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<b>trace</b>", status=500)


def form(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<p>Enter 84 or more.</p>", status=422)


def upload(request: HttpRequest) -> HttpResponse:
    time.sleep(0.2)
    return HttpResponse(f"<p>{request.FILES['file'].size} bytes</p>")


urlpatterns = [
    *real,
    path("parts/", page),
    path("record/<int:pk>/", record),
    path("ticks/", tick),
    path("fail/", fail),
    path("form/", form),
    path("upload/", upload),
]
