"""The language model through the engine's HTTP: asked, trained for one step, asked again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.engine.process import EXACT, LABELS, Engine, rows

pytest.importorskip("torch")
MODEL = "smollm2-135m-instruct"


@pytest.mark.torch
@pytest.mark.slow
def test_one_step_of_training_and_an_answer_of_the_tuned_model(own_engine: Callable[..., Engine]) -> None:
    engine = own_engine()
    ids = [model["id"] for model in engine.request("GET", "/v1/models")[1]["data"]]
    if MODEL not in ids:
        pytest.skip("the language model's packages are not all installed")
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 3, "n": 2}
    status, answer = engine.request("POST", "/v1/chat/completions", body)
    assert status == 200, answer
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert 2 <= answer["usage"]["completion_tokens"] <= 6
    settings = {"steps": 1, "prompts_per_step": 2, "answers_per_prompt": 2, "max_answer_tokens": 3, "eval_interval": 1}
    prompt = {"role": "system", "content": f"Answer with one of: {', '.join(LABELS)}."}
    lines = [{**row, "messages": [prompt, *row["messages"]]} for row in rows(0, 1)]
    made = engine.new_job(
        model=MODEL,
        training_file=engine.upload_rows(lines),
        validation_file=engine.upload_rows(lines[:1]),
        reinforcement={"grader": {**EXACT, "operation": "ilike"}, "allowed_answers": [], "hyperparameters": settings},
    )[1]
    job = engine.wait(made["id"], lambda job: job["status"] not in ("queued", "running"), 240)
    assert (job["status"], job["error"]) == ("succeeded", None)
    metrics = [event["data"] for event in engine.events(made["id"]) if event["type"] == "metrics"]
    assert [data["step"] for data in metrics] == [0, 1]
    assert 0 < metrics[1]["answer_tokens"] <= 3
    tuned = {**body, "model": job["fine_tuned_model"]}
    status, answer = engine.request("POST", "/v1/chat/completions", tuned)
    assert (status, len(answer["choices"])) == (200, 2)
