"""Chat, embeddings, models, sign-in and limits of the real engine."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openai
import pytest

from rft_project.engine.http import Gate
from rft_project.engine.wire import ApiError
from rft_project.platforms.embeddings import installed
from tests.engine.process import Engine

CHAT = "/v1/chat/completions"


def ask(engine: Engine, text: str, **more: object) -> dict:
    body = {"model": "classifier", "messages": [{"role": "user", "content": text}], **more}
    status, answer = engine.request("POST", CHAT, body)
    assert status == 200, answer
    return answer


def test_requests_that_are_answered_together_get_their_own_answers(engine: Engine) -> None:
    """Sixty callers at once, each with one allowed answer of its own and its own number of answers."""

    def call(number: int) -> list[str]:
        answer = ask(engine, f"question {number}", n=1 + number % 4, allowed_answers=[f"answer {number}"])
        return [choice["message"]["content"] for choice in answer["choices"]]

    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(call, range(60)))
    assert answers == [[f"answer {number}"] * (1 + number % 4) for number in range(60)]


def test_a_bad_prompt_fails_alone(engine: Engine) -> None:
    """Half of the callers forget the allowed answers; the others are not disturbed."""

    def call(number: int) -> int:
        body = {"model": "classifier", "messages": [{"role": "user", "content": f"{number}"}]}
        if number % 2:
            body["allowed_answers"] = ["a"]
        return engine.request("POST", CHAT, body)[0]

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(call, range(20))) == [400, 200] * 10


def test_the_untrained_classifier_guesses_evenly(engine: Engine) -> None:
    answer = ask(engine, "hello", n=120, allowed_answers=["a", "b", "c"], seed=5)
    counts = np.unique([choice["message"]["content"] for choice in answer["choices"]], return_counts=True)[1]
    assert counts.sum() == 120
    assert counts.min() > 20


def test_a_seed_repeats_the_answers(engine: Engine) -> None:
    def answers(seed: int) -> list[str]:
        choices = ask(engine, "hello", n=16, seed=seed, allowed_answers=["a", "b", "c"])["choices"]
        return [choice["message"]["content"] for choice in choices]

    assert answers(1) == answers(1)
    assert answers(1) != answers(2)


def test_usage_and_shape(engine: Engine) -> None:
    answer = ask(engine, "one two three", n=2, allowed_answers=["x"])
    assert answer["object"] == "chat.completion"
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert answer["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "x", "refusal": None},
        "finish_reason": "stop",
        "logprobs": None,
    }


def test_streams_are_read_by_the_official_client(engine: Engine) -> None:
    with openai.OpenAI(base_url=engine.url, api_key="none", max_retries=0) as client:
        stream = client.chat.completions.create(
            model="classifier",
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"allowed_answers": ["streamed"]},
        )
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "streamed"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices] == [None, "stop"]
    assert chunks[-1].usage.total_tokens == 2


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"model": None}, 400, "The request needs a model."),
        ({"model": "nothing"}, 404, "There is no model “nothing” here; this engine has "),
        ({"model": "ft:classifier::x"}, 404, "There is no tuned model “ft:classifier::x” here: "),
        ({"messages": []}, 400, "the request has no list of messages."),
        ({"messages": [{"role": "user", "content": 5}]}, 400, "Message 1 of the request has content that is neither "),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            400,
            "Message 1 of the request has parts",
        ),
        ({"n": 0}, 400, "“n” must be a whole number from 1 to 128."),
        ({"n": True}, 400, "“n” must be a whole number from 1 to 128."),
        ({"temperature": 3}, 400, "“temperature” must be a number from 0 to 2."),
        ({"max_tokens": 0}, 400, "“max_tokens” must be a whole number from 1 to 1024."),
        ({"allowed_answers": "x"}, 400, "allowed_answers must be a list of texts."),
        ({"allowed_answers": [" "]}, 400, "Each allowed answer must have 1 to 2000 characters."),
        ({"tools": [{}]}, 400, "The models of this engine can't call tools."),
    ],
)
def test_bad_requests_get_one_sentence(engine: Engine, change, status, sentence) -> None:
    body = {"model": "classifier", "messages": [{"role": "user", "content": "x"}], "allowed_answers": ["a"], **change}
    answered, content = engine.request("POST", CHAT, body)
    assert answered == status
    assert content["error"]["message"].startswith(sentence)


def test_bodies_that_are_no_json_objects(engine: Engine) -> None:
    kind = {"Content-Type": "application/json"}
    for body, code in [(b"{", "invalid_json"), (b"[]", "invalid_json"), (b"[" * 100_000, "invalid_json")]:
        status, answer = engine.request("POST", CHAT, body, headers=kind)
        assert (status, answer["error"]["code"]) == (400, code)
    assert engine.request("POST", CHAT, b"{}", headers={"Content-Type": "text/plain"})[0] == 415


def test_large_requests_are_refused_before_they_are_read(engine: Engine) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=10)
    connection.putrequest("POST", CHAT)
    connection.putheader("Content-Length", str(17 * 1024 * 1024))
    connection.endheaders()
    answer = connection.getresponse()
    error = json.loads(answer.read())["error"]
    connection.close()
    assert (answer.status, error["message"]) == (413, "The request is larger than 16 MB.")


def test_bodies_without_a_length_are_counted() -> None:
    async def read_all(scope, receive, send) -> None:
        while (await receive()).get("more_body"):
            pass

    async def endless() -> dict[str, object]:
        return {"type": "http.request", "body": bytes(1024 * 1024), "more_body": True}

    scope = {"type": "http", "method": "POST", "path": CHAT, "query_string": b"", "headers": [(b"host", b"localhost")]}
    with pytest.raises(ApiError) as refusal:
        asyncio.run(Gate(read_all, "")(scope, endless, None))
    assert (refusal.value.status, refusal.value.message) == (413, "The request is larger than 16 MB.")


def test_unknown_addresses(engine: Engine) -> None:
    assert engine.request("GET", "/v1/nothing")[1]["error"]["message"] == "There is no such address here."
    assert engine.request("GET", CHAT)[1]["error"]["message"] == "This address does not take that method."


def test_embeddings_are_those_of_the_library(engine: Engine) -> None:
    texts = ["a lost card", "please refund me", ""]
    with openai.OpenAI(base_url=engine.url, api_key="none", max_retries=0) as client:
        for model in installed():
            answer = client.embeddings.create(model=model.id, input=texts)  # base64 on the wire
            plain = client.embeddings.create(model=model.id, input=texts, encoding_format="float")
            for found in (answer, plain):
                assert found.model == model.id
                assert np.allclose([row.embedding for row in found.data], model.embed(texts), atol=1e-6)
    assert engine.request("POST", "/v1/embeddings", {"model": "ada", "input": "x"})[0] == 404
    assert engine.request("POST", "/v1/embeddings", {"model": "static", "input": []})[0] == 400
    assert engine.request("POST", "/v1/embeddings", {"model": "static", "input": ["x"], "dimensions": 8})[0] == 400


def test_models_say_what_they_can_do(engine: Engine) -> None:
    models = {model["id"]: model for model in engine.request("GET", "/v1/models")[1]["data"]}
    about = models["classifier"]["rft"]
    assert about["trainable"] is True
    assert about["needs_allowed_answers"] is True
    assert about["grader_types"] == ["string_check", "text_similarity", "python", "multi"]
    assert about["hyperparameters"]["steps"]["default"] == 300
    assert models["static"]["rft"]["trainable"] is False
    assert engine.request("GET", "/v1/models/classifier")[1] == models["classifier"]
    assert engine.request("GET", "/v1/models/none")[0] == 404


def test_an_engine_with_a_key_needs_it(own_engine: Callable[..., Engine]) -> None:
    engine = own_engine(key="secret-key")
    assert engine.request("GET", "/v1/models")[0] == 200
    for header in ("", "Bearer", "Bearer wrong", "Basic secret-key"):
        status, body = engine.request("GET", "/v1/models", headers={"Authorization": header})
        assert (status, body["error"]["code"]) == (401, "invalid_api_key")
    assert engine.request("GET", "/healthz", headers={"Authorization": ""}) == (200, {"status": "ok"})
    # With a key it is meant for other machines: their names and web pages are no reason to refuse.
    assert (
        engine.request("GET", "/v1/models", headers={"Host": "engine.example", "Authorization": "Bearer secret-key"})[0]
        == 200
    )


def test_an_engine_without_a_key_serves_this_machine_only(engine: Engine) -> None:
    for headers in ({"Host": "rebound.example"}, {"Origin": "https://page.example"}, {"Origin": "null"}):
        status, body = engine.request("GET", "/v1/models", headers=headers)
        assert (status, body["error"]["code"]) == (403, "no_key_set")
    assert engine.request("GET", "/v1/models", headers={"Host": "localhost:1"})[0] == 200


def test_without_the_language_models_packages_only_the_classifier_is_there(own_engine, tmp_path) -> None:
    """A folder in front of the path whose ``torch`` can't be found stands for a LIGHT=1 installation."""
    (tmp_path / "light").mkdir()
    (tmp_path / "light" / "sitecustomize.py").write_text(
        "from importlib.machinery import PathFinder\n"
        "real = PathFinder.find_spec\n"
        "def find_spec(name, path=None, target=None):\n"
        "    return None if name == 'torch' else real(name, path, target)\n"
        "PathFinder.find_spec = staticmethod(find_spec)\n"
    )
    engine = own_engine(environment={"PYTHONPATH": str(tmp_path / "light")})
    ids = [model["id"] for model in engine.request("GET", "/v1/models")[1]["data"]]
    assert ids == ["classifier", *(model.id for model in installed())]
    body = {"model": "smollm2-135m-instruct", "messages": [{"role": "user", "content": "x"}]}
    status, answer = engine.request("POST", CHAT, body)
    assert status == 404
    assert answer["error"]["message"].startswith("The model smollm2-135m-instruct needs torch, which this engine lacks")
    assert json.dumps(answer).count("\\n") == 0
