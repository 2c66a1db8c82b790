from __future__ import annotations

import json
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django_htmx.middleware import HtmxMiddleware

from rft_project.web.regions import region

PART = "ui/stat.html"  # any partial will do
CONTEXT = {"label": "Valid", "value": 7}


def ask(path: str = "/r/", *, htmx: bool = True, post: bool = False, **arguments: Any) -> HttpResponse:
    headers = {"HX-Request": "true"} if htmx else {}
    factory = RequestFactory()
    request = factory.post(path, headers=headers) if post else factory.get(path, headers=headers)

    def view(request: HttpRequest) -> HttpResponse:
        return region(request, PART, CONTEXT, **arguments)

    return HtmxMiddleware(view)(request)


def test_what_was_seen_is_not_sent_again():
    answer = ask("/r/?seen=12", version=12, trigger="dataset-changed")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "HX-Trigger" not in answer


def test_what_is_new_is_sent_as_the_partial_alone():
    answer = ask("/r/?seen=11", version=12)
    assert answer.status_code == 200
    assert answer.content.startswith(b'<div class="stat"><dt>Valid</dt>')
    assert b"<html" not in answer.content


@pytest.mark.parametrize("path", ["/r/", "/r/?seen=", "/r/?seen=x"])
def test_without_a_matching_version_the_partial_comes(path):
    assert ask(path, version=12).status_code == 200


def test_a_post_is_never_answered_with_nothing():
    assert ask("/r/?seen=12", post=True, version=12).status_code == 200


def test_the_last_render_tells_the_other_regions():
    assert json.loads(ask("/r/?seen=11", version=12, trigger="dataset-changed")["HX-Trigger"]) == {
        "dataset-changed": ""
    }


def test_a_refresh_caused_by_the_event_does_not_send_it_again():
    assert "HX-Trigger" not in ask("/r/", version=12, trigger="dataset-changed")


def test_a_toast_travels_as_an_event():
    answer = ask("/r/", post=True, trigger="dataset-changed", toast="12 records moved.")
    assert json.loads(answer["HX-Trigger"]) == {"dataset-changed": "", "toast": "12 records moved."}


@pytest.mark.parametrize("post", [False, True])
def test_opened_outside_htmx_the_owning_page_comes(post):
    answer = ask("/r/", htmx=False, post=post, page="/datasets/3/")
    assert (answer.status_code, answer["Location"]) == (303, "/datasets/3/")


def test_errors_of_a_form_come_with_their_status():
    assert ask(post=True, status=422).status_code == 422


def test_caches_keep_htmx_answers_apart():
    assert "HX-Request" in ask("/r/?seen=1", version=1)["Vary"]
    assert "HX-Request" in ask()["Vary"]
    assert "HX-Request" in ask(htmx=False, page="/x/")["Vary"]


@pytest.mark.parametrize(
    ("path", "post", "refresh", "expected"),
    [
        ("/r/?seen=11", False, True, "true"),
        ("/r/?seen=12", False, True, None),  # nothing new: the page stays
        ("/r/", False, True, None),  # the page that was just loaded is not loaded again
        ("/r/", True, True, None),
        ("/r/?seen=11", False, False, None),
    ],
)
def test_only_a_poll_that_finds_the_end_loads_the_page_anew(path, post, refresh, expected):
    assert ask(path, post=post, version=12, refresh=refresh).headers.get("HX-Refresh") == expected
