"""A test on a sample: score, parts, errors by line; in the real jail."""

from __future__ import annotations

import json
from html import unescape

import pytest

from graders_app.core.evaluate import Limits
from graders_app.core.spec import parse_grader
from graders_app.services import save_grader
from graders_app.trial import jail_problem, run_trial
from tests.graders_app.conftest import EXACT, JUDGE, MULTI, PYTHON


@pytest.fixture
def attempt(owner, client_of):
    def send(grader, answer, item, htmx=True):
        text = item if isinstance(item, str) else json.dumps(item)
        headers = {"HX-Request": "true"} if htmx else {}
        return client_of(owner).post(f"/graders/{grader.pk}/try/", {"answer": answer, "item": text}, headers=headers)

    return send


def test_a_python_grader_scores_in_the_jail(python, attempt):
    answer = attempt(python, "the parcel is late", {"wanted": ["parcel", "sorry"]})
    assert answer.status_code == 200
    assert answer.context["panel"].trial.result.reward == 0.5
    html = answer.content.decode()
    assert html.strip().startswith('<div id="try_result"')
    assert '<span class="score">0.50</span>' in html


def test_an_error_names_the_line_and_shows_it(python, attempt):
    answer = attempt(python, "x", {})
    (problem,) = answer.context["panel"].trial.whole
    assert problem == ("python_grader_runtime_error", "Line 3: KeyError: 'wanted'", 'words = item["wanted"]')
    assert "Line 3: KeyError: 'wanted'" in unescape(answer.content.decode())
    assert '<span class="score">none</span>' in answer.content.decode()


def test_a_python_grader_has_no_network_and_no_files(workspace, owner, attempt):
    source = 'def grade(sample, item):\n    return 1.0 if open("/etc/hostname").read() else 0.5\n'
    grader = save_grader(workspace, "Thief", {**PYTHON, "source": source}, by=owner)
    trial = attempt(grader, "x", {}).context["panel"].trial
    assert trial.result.reward is None
    assert trial.whole[0][1].startswith("Line 2: ")


def test_each_part_of_a_multi_grader_is_shown(multi, attempt):
    trial = attempt(multi, "shipping", {"reference_answer": "shipping", "wanted": []}).context["panel"].trial
    assert trial.result.reward == 0.5
    assert [(line.name, line.score, [p[0] for p in line.problems]) for line in trial.lines] == [
        ("exact", 1.0, []),
        ("words", None, ["python_grader_runtime_error"]),
    ]


def test_a_judge_without_a_connection_says_so_and_the_rest_is_scored(workspace, owner, attempt):
    config = {**MULTI, "graders": {"exact": EXACT, "words": JUDGE}}
    grader = save_grader(workspace, "Judged", config, by=owner)
    exact, judge = attempt(grader, "a", {"reference_answer": "a"}).context["panel"].trial.lines
    assert (exact.score, judge.score) == (1.0, None)
    assert judge.problems == [("model_grader_server_error", "No connection is given to ask the judge judge-model.", "")]


def test_the_user_message_comes_from_the_messages(workspace, owner, attempt):
    config = {**EXACT, "reference": "{{item.user_message}}"}
    grader = save_grader(workspace, "Echo", config, by=owner)
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "x"}]
    assert attempt(grader, "hello", {"messages": messages}).context["panel"].trial.result.reward == 1.0


def test_a_record_that_is_no_json_is_one_sentence(exact, attempt):
    answer = attempt(exact, "x", "{oops")
    assert answer.status_code == 422
    assert answer.context["panel"].trial is None
    assert unescape(answer.content.decode()).count("item: this is not JSON: Expecting property name") == 1


def test_an_empty_answer_can_be_scored_and_html_is_text(exact, attempt):
    assert attempt(exact, "", {"reference_answer": "x"}).context["panel"].trial.result.reward == 0.0
    html = attempt(exact, "<script>x</script>", {"reference_answer": "x"}, htmx=False).content.decode()
    assert "<script>x" not in html


def test_without_scripts_the_whole_page_answers(exact, attempt):
    html = attempt(exact, "shipping", {"reference_answer": "shipping"}, htmx=False).content.decode()
    assert html.lstrip().startswith("<!doctype html>")
    assert '<span class="score">1.00</span>' in html


def test_where_the_jail_cannot_run_a_sentence_says_why():
    limits = Limits(memory_bytes=1 << 60)  # more than any machine has free
    spec = parse_grader(PYTHON)
    assert jail_problem(spec, limits=limits).startswith("Python graders are off on this server: ")
    assert run_trial(spec, "x", {}, limits=limits).problem.startswith("Python graders are off on this server: ")
    assert jail_problem(parse_grader(EXACT), limits=limits) == ""
    assert run_trial(parse_grader(EXACT), "a", {"reference_answer": "a"}, limits=limits).result.reward == 1.0
