"""Judges over real HTTP: what they say is used, kept, and paid for once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from graders_app.core.evaluate import JudgeAnswer, JudgeError, Question, make_item, make_sample
from graders_app.core.presets import PresetContext, load_preset
from graders_app.judging import ConnectionJudge, asks_a_judge, judge_of, open_for
from graders_app.models import Judgement
from rft_project.connections.models import Connection
from rft_project.platforms.types import Usage
from tests.emulators.chat import ChatServer, chat_server
from tests.graders_app.conftest import EXACT, JUDGE, MULTI

pytestmark = pytest.mark.django_db

CORRECTNESS = load_preset("correctness").build(PresetContext())


def verdict(body) -> str:
    return json.dumps({"steps": [{"description": "Read it", "conclusion": "fine"}], "result": 0.75})


@pytest.fixture
def judged(workspace, settings) -> Iterator[Callable[..., tuple[Connection, ChatServer]]]:
    """A connection whose judge answers by a function."""
    with ExitStack() as stack:

        def start(reply=verdict) -> tuple[Connection, ChatServer]:
            chat = stack.enter_context(chat_server(reply))
            settings.ALLOWED_PRIVATE_ENDPOINTS = [urlsplit(chat.url).netloc]
            connection = Connection(workspace=workspace, kind="openai", name="Judge", judge_model="wise")
            connection.set_credentials({"base_url": chat.url, "api_key": "sk-emulated"})
            connection.save(force_insert=True)
            return connection, chat

        yield start


def question(text: str = "Rate this", model: str = "judge", **params) -> Question:
    schema = {"name": "grade", "strict": True, "schema": {"type": "object"}}
    return Question([{"role": "user", "content": text}], model, schema, params)


def test_a_judge_is_asked_for_a_structured_answer_by_the_model_of_the_role(judged):
    connection, chat = judged()
    judge = ConnectionJudge(connection)

    (answer,) = judge([question(temperature=0.5, seed=7)])

    assert json.loads(answer.text)["result"] == 0.75
    (body,) = chat.asked
    assert (body["model"], body["temperature"], body["messages"][0]["content"]) == ("wise", 0.5, "Rate this")
    assert body["response_format"]["json_schema"]["name"] == "grade"
    assert (judge.asked, judge.kept) == (1, 0)
    assert judge.usage == answer.usage == Usage(prompt_tokens=20, completion_tokens=5)


def test_a_question_is_paid_for_once(judged):
    connection, chat = judged()
    first = ConnectionJudge(connection)
    first([question("a"), question("b"), question("a")])
    second = ConnectionJudge(connection)
    (again,) = second([question("a")])

    assert sorted(body["messages"][0]["content"] for body in chat.asked) == ["a", "b"]
    took = Usage(prompt_tokens=20, completion_tokens=5)
    assert (again.text, again.usage, second.kept, second.usage) == (verdict(None), took, 1, Usage())
    assert Judgement.objects.count() == 2


def test_other_parameters_another_model_and_repeats_are_other_questions(judged):
    connection, chat = judged()
    ConnectionJudge(connection)([question(), question(temperature=1.0), question(model="other")])
    ConnectionJudge(connection, repeat=1)([question()])

    assert len(chat.asked) == 4
    assert sorted(body["model"] for body in chat.asked) == ["other", "wise", "wise", "wise"]


def test_answers_come_in_the_order_of_the_questions(judged):
    connection, _ = judged(lambda body: json.dumps({"result": float(body["messages"][0]["content"])}))

    answers = ConnectionJudge(connection)([question(f"0.{n}") for n in range(10)])

    assert [json.loads(answer.text)["result"] for answer in answers] == [n / 10 for n in range(10)]


def test_a_busy_judge_is_asked_again_and_one_that_refuses_the_key_is_not(judged):
    answers = iter([503, verdict(None)])
    connection, chat = judged(lambda body: next(answers))
    (answer,) = ConnectionJudge(connection)([question()])
    assert isinstance(answer, JudgeAnswer)
    assert len(chat.asked) == 2

    chat.reply = lambda body: 401
    (refused,) = ConnectionJudge(connection)([question("else")])
    assert isinstance(refused, JudgeError)
    assert str(refused).startswith("The judge gave no answer: ")
    assert len(chat.asked) == 3


def test_one_failure_leaves_the_other_answers_alone_and_is_not_kept(judged):
    connection, chat = judged(lambda body: 400 if body["messages"][0]["content"] == "bad" else verdict(body))
    good, bad = ConnectionJudge(connection)([question("good"), question("bad")])
    assert isinstance(good, JudgeAnswer)
    assert isinstance(bad, JudgeError)

    chat.reply = verdict
    (mended,) = ConnectionJudge(connection)([question("bad")])
    assert isinstance(mended, JudgeAnswer)


def test_words_around_the_object_do_not_matter_and_an_answer_without_a_number_is_asked_again(judged):
    connection, chat = judged(lambda body: f"Sure:\n```json\n{verdict(body)}\n```")
    (answer,) = ConnectionJudge(connection)([question()])
    assert answer.text == verdict(None)

    chat.reply = lambda body: "I would say it is fine"
    ConnectionJudge(connection)([question("else")])
    ConnectionJudge(connection)([question("else")])
    assert len(chat.asked) == 3


def test_a_filtered_answer_is_a_refusal(judged):
    connection, _ = judged(lambda body: {"finish_reason": "content_filter", "message": {"content": None}})
    (answer,) = ConnectionJudge(connection)([question()])
    assert (answer.refused, str(answer)) == (True, "The judge refused to answer.")


def test_a_grader_of_the_workspace_is_judged(judged, workspace):
    _, chat = judged(lambda body: json.dumps({"result": 0.5 if "complete" in body["messages"][0]["content"] else 1}))
    item = make_item({}, [{"role": "user", "content": "Where?"}], "In the mail.")
    with open_for(workspace, CORRECTNESS) as grader:
        results = grader.grade_many([(make_sample(text), item) for text in ("Mail", "Post", "Mail")])

    assert [result.reward for result in results] == pytest.approx([0.85] * 3)
    assert len(chat.asked) == 4


def test_without_a_judge_a_grader_says_so(workspace):
    with open_for(workspace, CORRECTNESS) as grader:
        result = grader.grade(make_sample("x"), make_item({}, [], "y"))
    assert (result.reward, {issue.kind for issue in result.errors}) == (None, {"model_grader_server_error"})
    assert judge_of(workspace)([question()])[0].args == ("No connection is given to ask the judge judge.",)


def test_a_judge_of_another_workspace_is_not_asked(judged, stranger):
    from rft_project.connections.access import home_workspace

    _, chat = judged()
    judge_of(home_workspace(stranger))([question()])
    assert chat.asked == []


def test_which_graders_ask_a_judge():
    assert [asks_a_judge(config) for config in (EXACT, MULTI, JUDGE, CORRECTNESS)] == [False, False, True, True]
