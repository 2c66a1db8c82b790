"""A run's grader tried on one answer to one of its records: typed, logged or fresh from the model."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from django.conf import settings as conf
from django.http import Http404
from django.urls import reverse
from playwright.sync_api import expect

from datasets_app import consent
from graders_app.core.presets import PresetContext, load_preset
from graders_app.services import save_grader
from rft_project.connections.models import Connection
from rft_project.connections.services import local_connection
from tests.browser import WIDTHS, launch, open_page, overflow, shot
from tests.emulators.chat import chat_server
from tests.graders_app.conftest import EXACT
from tests.wizard_app.test_sending import azure, run  # noqa: F401
from wizard_app import services, trying
from wizard_app.choosing import trainable
from wizard_app.forms import LOGGED, SAMPLED, TYPED
from wizard_app.panels.choices import grader_panel

pytestmark = pytest.mark.django_db(transaction=True)
BROKEN = {"type": "python", "name": "broken", "source": "def grade(sample, item):\n    return 1 / len('')\n"}
BOTH = {
    "type": "multi",
    "name": "both",
    "graders": {"exact": EXACT, "broken": BROKEN},
    "calculate_output": "0.5 * exact + 0.5 * broken",
}


@pytest.fixture
def client(owner, client_of):
    return client_of(owner)


def press(client, graded, *, htmx=True, **values):
    item = grader_panel(graded).items[0].pk
    headers = {"HX-Request": "true"} if htmx else {}
    return client.post(reverse("wizard:do_trial", args=[graded.pk]), {"item": item, **values}, headers=headers)


def test_a_typed_answer_is_scored_part_by_part_with_the_line_that_failed(graded_run, client):
    services.choose_grader(graded_run, save_grader(graded_run.workspace, "Both", BOTH, by=None))
    reference = grader_panel(graded_run).items[0].reference
    tried = press(client, graded_run, how=TYPED, answer=reference).context["tried"]
    assert (tried.whose, tried.answer, tried.trial.result.reward) == ("Your answer", reference, 0.5)
    assert [(line.name, line.score) for line in tried.trial.lines] == [("exact", 1.0), ("broken", None)]
    ((kind, sentence, source),) = tried.trial.lines[1].problems
    assert (source, "ZeroDivisionError" in sentence) == ("return 1 / len('')", True), kind


def test_the_logged_answer_is_scored_whatever_stands_in_the_box(graded_run, client):
    logged = grader_panel(graded_run).items[0].logged
    tried = press(client, graded_run, how=LOGGED, answer="something else").context["tried"]
    assert (tried.whose, tried.answer) == ("The logged answer", logged)


def test_without_script_the_whole_page_comes_back_with_the_score(graded_run, client):
    answer = press(client, graded_run, htmx=False, how=TYPED, answer="no label at all")
    assert (answer.status_code, answer.context["tried"].trial.result.reward) == (200, 0.0)
    assert "<h1>Grader</h1>" in answer.content.decode()


@pytest.fixture
def planned_run(graded_run, engine):
    """A run whose base model is chosen: the built-in classifier, which needs no loading."""
    graded_run.connection, graded_run.base_model = local_connection(graded_run.workspace), "classifier"
    graded_run.save()
    return graded_run


def test_a_model_answers_now(planned_run, client):
    graded_run = planned_run
    tried = press(client, graded_run, how=SAMPLED).context["tried"]
    connection, model = trying.model_of(graded_run)
    assert (connection, tried.whose) == (local_connection(graded_run.workspace), f"The answer of {model}")
    assert (bool(tried.answer), tried.trial.result.errors) == (True, [])


def test_before_a_model_is_chosen_the_first_that_can_be_trained_answers(graded_run, engine):
    connection = local_connection(graded_run.workspace)
    assert trying.model_of(graded_run) == (connection, trainable(connection)[0].id)


def test_a_model_that_cannot_be_reached_is_said_and_nothing_scored(graded_run, client, settings):
    settings.ENGINE_URL = "http://127.0.0.1:9"
    answer = press(client, graded_run, how=SAMPLED)
    assert (answer.status_code, answer.context["tried"]) == (200, None)
    assert "Nothing was scored." in answer.content.decode()


def test_a_record_of_another_run_is_not_there(graded_run, owner):
    with pytest.raises(Http404):
        trying.try_answer(graded_run, 10**9, TYPED, "x", agreed="", by=owner)


def test_the_words_of_a_judge_stand_beside_its_score(graded_run, client, settings):
    config = load_preset("correctness").build(PresetContext())
    services.choose_grader(graded_run, save_grader(graded_run.workspace, "Judge", config, by=None))
    with chat_server(lambda body: json.dumps({"steps": [{"description": "It fits."}], "result": 0.5})) as chat:
        settings.ALLOWED_PRIVATE_ENDPOINTS = [urlsplit(chat.url).netloc]
        judge = Connection(workspace=graded_run.workspace, kind="openai", name="Judge", judge_model="wise")
        judge.set_credentials({"base_url": chat.url, "api_key": "sk-emulated"})
        judge.save()
        question = consent.about_snapshot(graded_run.frozen, judge)
        asked = press(client, graded_run, how=TYPED, answer="x", agreed=question.mark if question else "")
    lines = asked.context["tried"].trial.lines
    assert [(line.name, line.score, bool(line.note)) for line in lines] == [
        ("accuracy", 0.5, True),
        ("completeness", 0.5, True),
    ]
    assert lines[0].note in asked.content.decode()


def test_a_model_elsewhere_is_asked_only_on_a_persons_word(run, azure, client):  # noqa: F811
    run.connection, run.base_model = azure, "classifier"
    run.save(update_fields=["connection", "base_model"])
    item = grader_panel(run).items[0].pk
    asked = f"/runs/{run.pk}/sending/trial/?how=sampled&item={item}"
    answer = press(client, run, how=SAMPLED)
    assert sorted(answer["HX-Redirect"].partition("?")[2].split("&")) == sorted(asked.partition("?")[2].split("&"))
    assert press(client, run, htmx=False, how=SAMPLED)["Location"].startswith(f"/runs/{run.pk}/sending/trial/?")
    page = client.get(asked)
    assert page.context["panel"].back == f"/runs/{run.pk}/grader/"
    mark = page.context["panel"].question.mark
    sent = client.post(page.context["panel"].action, {**dict(page.context["panel"].fields), "agreed": mark})
    assert (sent.status_code, sent.context["tried"].whose) == (200, "The answer of classifier")


@pytest.mark.parametrize("typed", ['ada@example.org wrote\n  "twice" <b>', "y" * 20_000])
def test_what_was_typed_waits_for_the_word_whole_and_stands_in_no_address(run, azure, client, typed):  # noqa: F811
    run.connection, run.base_model = azure, "classifier"
    run.save(update_fields=["connection", "base_model"])
    asked = press(client, run, how=SAMPLED, answer=typed)["HX-Redirect"]
    assert len(asked) < 200
    assert "ada" not in asked
    fields = dict(client.get(asked).context["panel"].fields)
    assert fields.keys() == {"how", "item", "answer"}
    assert fields["answer"] == typed


def test_what_was_typed_is_kept_for_one_session_only_and_that_is_said(run, azure, client, colleague, client_of):  # noqa: F811
    run.connection, run.base_model = azure, "classifier"
    run.save(update_fields=["connection", "base_model"])
    asked = press(client, run, how=SAMPLED, answer="typed")["HX-Redirect"]
    elsewhere = client_of(colleague).get(asked, follow=True)
    assert elsewhere.redirect_chain == [(f"/runs/{run.pk}/grader/", 302)]
    assert "What you typed is kept no more; enter it again." in elsewhere.content.decode()
    for _ in range(5):  # those that wait longest go first
        press(client, run, how=SAMPLED, answer="typed later")
    assert client.get(asked).status_code == 302


@pytest.mark.browser
def test_samples_are_scored_in_place_and_fit(planned_run, live_server, client):
    graded_run = planned_run
    services.choose_grader(graded_run, save_grader(graded_run.workspace, "Both", BOTH, by=None))
    session = client.cookies[conf.SESSION_COOKIE_NAME].value
    address = f"{live_server.url}/runs/{graded_run.pk}/grader/"
    with launch() as browser:
        for width in WIDTHS:
            for dark in (False, True):
                page = open_page(browser, width=width, dark=dark)
                page.context.add_cookies([{"name": conf.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}])
                page.goto(address)
                page.get_by_role("button", name="Score the logged answer").first.click()
                expect(page.locator("#trial")).to_contain_text("return 1 / len('')")
                page.evaluate("scrollTo(0, 0)")
                shot(page, "run-grader-trial")
                page.get_by_role("button", name="Ask classifier").first.click()
                expect(page.locator("#trial")).to_contain_text("The answer of")
                assert (width, overflow(page), page.problems) == (width, 0, [])
                page.context.close()
