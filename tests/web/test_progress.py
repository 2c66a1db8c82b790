from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.template import Context, Template

from rft_project.jobs.models import Job, State
from rft_project.web.progress import rate_text, work_of

NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
NB = "\u00a0"


def job(**values: Any) -> Job:
    base: dict[str, Any] = {
        "pk": 1204,
        "kind": "import",
        "total": 67,
        "unit": "records",
        "started_at": NOW - timedelta(seconds=90),
    }
    return Job(**{**base, **values})


def draw(job: Job | None, **context: Any) -> str:
    source = '{% job_progress job stop_url=stop keeps="Stop keeps what is done." retry_url=retry target=target %}'
    return Template(source).render(Context({"job": job, "stop": "", "retry": "", "target": "", **context}))


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (3.2, "3.2 a second"),
        (9400, "9,400 a second"),
        (1, "1 a second"),
        (0.2, "12 a minute"),
        (0.001, "3.6 an hour"),
        (0, ""),
        (None, ""),
    ],
)
def test_rate_text_chooses_a_unit_people_can_picture(rate, expected):
    assert rate_text(rate) == expected


def test_running_says_counts_rate_and_time_left():
    work = work_of(job(state=State.RUNNING, done=41, per_second=3.2, phase="Asking"), NOW)
    assert (work.lead, work.facts, work.left) == ("41 of 67 records", ("Asking", "3.2 a second"), f"8{NB}s")
    assert (work.value, work.max, work.live) == ("41", "67", True)


def test_unknown_length_has_a_bar_without_a_value():
    work = work_of(job(state=State.RUNNING, total=0, done=1500, unit="lines"), NOW)
    assert (work.lead, work.value, work.max) == ("1,500 lines", "", "")
    assert "<progress aria-label=" in draw(job(state=State.RUNNING, total=0))


def test_queued_waits_for_a_worker_and_a_requeued_one_keeps_its_counts():
    assert work_of(job(state=State.QUEUED, started_at=None), NOW).lead == "Waiting for a free worker"
    assert work_of(job(state=State.QUEUED, done=5), NOW).lead == "5 of 67 records"


def test_waiting_says_what_for_and_until_when():
    work = work_of(
        job(state=State.WAITING, done=3, note="The platform asks to wait", run_after=NOW + timedelta(seconds=40)), NOW
    )
    assert (work.lead, work.facts, work.note) == (
        "The platform asks to wait",
        ("3 of 67 records", f"goes on in 40{NB}s"),
        "",
    )


def test_stopping_has_no_second_stop_button():
    html = draw(job(state=State.RUNNING, done=3, cancel_requested=True), stop="/stop/")
    assert '<button class="btn small" type="button" disabled>Stopping</button>' in html
    assert "<form" not in html


def test_stop_posts_to_the_url_given_and_says_what_it_keeps():
    html = draw(job(state=State.RUNNING, done=3), stop="/stop/", csrf_token="tok")
    assert '<form method="post" action="/stop/"><input type="hidden" name="csrfmiddlewaretoken" value="tok">' in html
    assert "Stop keeps what is done." in html
    assert 'id="job-1204"' in html


def test_stop_swaps_a_region_when_one_is_named():
    html = draw(job(state=State.RUNNING), stop="/stop/", target="#summary")
    assert 'hx-post="/stop/" hx-target="#summary" hx-swap="outerHTML"' in html


def test_finished_states_are_one_line():
    done = work_of(job(state=State.SUCCEEDED, done=67, finished_at=NOW), NOW)
    stopped = work_of(job(state=State.CANCELLED, done=41, finished_at=NOW), NOW)
    assert (done.lead, done.facts, done.tone) == ("67 records", (f"in 1{NB}min{NB}30{NB}s",), "good")
    assert (stopped.lead, stopped.tone) == ("Stopped after 41 of 67 records", "note")
    assert "<progress" not in draw(job(state=State.SUCCEEDED, done=67, finished_at=NOW))


def test_failed_shows_its_sentence_as_text_and_offers_another_try():
    html = draw(job(state=State.FAILED, done=0, error_message="<b>Line 3</b> is empty."), retry="/again/")
    assert "<b>&lt;b&gt;Line 3&lt;/b&gt; is empty.</b>" in html
    assert 'action="/again/"' in html
    assert "Nothing was done." in html
    assert work_of(job(state=State.FAILED), NOW).failed == "It stopped with an error."


def test_large_counts_stay_plain_in_attributes():
    html = draw(job(state=State.RUNNING, done=48_210, total=120_000))
    assert 'max="120000" value="48210"' in html
    assert "48,210 of 120,000 records" in html


def test_no_job_draws_nothing():
    assert draw(None).strip() == ""


def test_a_job_parked_between_two_looks_shows_its_counts():
    parked = job(state=State.WAITING, note="running", done=201, total=5000, unit="steps")
    parked.run_after = NOW + timedelta(seconds=1.5)
    assert work_of(parked, NOW).lead == "201 of 5,000 steps"
    parked.run_after = NOW + timedelta(seconds=60)
    assert work_of(parked, NOW).lead == "running"
