"""Fine-tuning jobs over HTTP, on the real engine with real training."""

from __future__ import annotations

import json

import pytest

from tests.engine.process import EXACT, LABELS, SLOW, TEXTS, Engine, rows


def test_a_job_trains_a_model_that_answers_better(engine: Engine) -> None:
    status, made = engine.new_job(suffix="topics", metadata={"app_key": "learns"})
    assert status == 200
    assert made["status"] == "queued"
    job = engine.wait_final(made["id"])
    assert (job["status"], job["error"]) == ("succeeded", None)
    assert job["fine_tuned_model"] == f"ft:classifier:topics:{job['id'].removeprefix('ftjob-')}"
    for label, texts in TEXTS.items():
        body = {"model": job["fine_tuned_model"], "temperature": 0, "messages": [{"role": "user", "content": texts[4]}]}
        status, answer = engine.request("POST", "/v1/chat/completions", body)
        assert (status, answer["choices"][0]["message"]["content"]) == (200, label)


def test_metric_events_have_the_shape_of_the_published_api(engine: Engine) -> None:
    grader = {
        "type": "multi",
        "name": "total",
        "graders": {"exact": EXACT, "near": {**EXACT, "name": "near", "operation": "ilike"}},
        "calculate_output": "0.9 * exact + 0.1 * near",
    }
    made = engine.new_job(reinforcement={"grader": grader, "hyperparameters": {"steps": 4, "eval_interval": 2}})[1]
    engine.wait_final(made["id"])
    metrics = [event for event in engine.events(made["id"]) if event["type"] == "metrics"]
    assert [event["data"]["step"] for event in metrics] == [0, 1, 2, 3, 4]
    assert ["valid_reward_mean" in event["data"]["scores"] for event in metrics] == [True, False, True, False, True]
    data = metrics[2]["data"]
    assert data["total_steps"] == 4
    train, valid = data["scores"]["train_reward_mean"], data["scores"]["valid_reward_mean"]
    assert metrics[2]["message"] == (
        f"Step 2/4, train mean reward={train:.4f}, full validation mean reward={valid:.4f}"
    )
    children = {g["name"]: g for g in data["scores"]["graders"]}
    assert {name: g["type"] for name, g in children.items()} == {"exact": "string_check", "near": "string_check"}
    mixed = 0.9 * children["exact"]["train_reward_mean"] + 0.1 * children["near"]["train_reward_mean"]
    assert train == pytest.approx(mixed)
    assert data["errors"]["graders"] == [{"name": "total", "type": "multi", "train_other_error_count": 0}]
    assert data["timing"]["step"]["full_iteration"] > 0
    assert 0 <= data["flat_share"] <= 1
    assert data["entropy"] > 0.5
    assert data["answer_tokens"] == 1


def test_events_are_paged_newest_first(engine: Engine) -> None:
    made = engine.new_job(reinforcement={"hyperparameters": {"steps": 5}})[1]
    engine.wait_final(made["id"])
    everything = [event["id"] for event in engine.events(made["id"])]
    path = f"/v1/fine_tuning/jobs/{made['id']}/events"
    first = engine.request("GET", f"{path}?limit=3")[1]
    second = engine.request("GET", f"{path}?limit=3&after={first['last_id']}")[1]
    assert [e["id"] for e in first["data"] + second["data"]] == everything[:-7:-1]
    assert first["has_more"] is True


def test_one_key_makes_one_job(engine: Engine) -> None:
    first = engine.new_job(metadata={"app_key": "twice", "run": "7"})[1]
    second = engine.new_job(metadata={"app_key": "twice", "run": "7"})[1]
    assert second["id"] == first["id"]
    listed = engine.request("GET", "/v1/fine_tuning/jobs?metadata[app_key]=twice")[1]
    assert [job["id"] for job in listed["data"]] == [first["id"]]
    assert engine.request("GET", "/v1/fine_tuning/jobs?metadata[app_key]=twice&metadata[run]=8")[1]["data"] == []
    engine.wait_final(first["id"])


def test_checkpoints_answer_by_their_own_id(engine: Engine) -> None:
    made = engine.new_job(reinforcement={"hyperparameters": {"steps": 20, "eval_interval": 10}})[1]
    engine.wait_final(made["id"])
    found = engine.request("GET", f"/v1/fine_tuning/jobs/{made['id']}/checkpoints")[1]["data"]
    assert [c["step_number"] for c in found] == [20, 10]
    assert set(found[0]["metrics"]) == {"step", "train_mean_reward", "full_valid_mean_reward"}
    body = {"model": found[1]["fine_tuned_model_checkpoint"], "messages": [{"role": "user", "content": "my card"}]}
    assert engine.request("POST", "/v1/chat/completions", body)[1]["choices"][0]["message"]["content"] in LABELS


def test_cancel_ends_training_and_keeps_what_was_made(engine: Engine) -> None:
    made = engine.new_job(reinforcement={"hyperparameters": SLOW})[1]
    engine.wait_step(made["id"], 10)
    waiting = engine.new_job(reinforcement={"hyperparameters": {"steps": 2}})[1]
    status, cancelled = engine.request("POST", f"/v1/fine_tuning/jobs/{made['id']}/cancel")
    assert (status, cancelled["status"]) == (200, "cancelled")
    # The queue goes on only when the first process is gone.
    assert engine.wait_final(waiting["id"])["status"] == "succeeded"
    assert engine.worker_pids(made["id"]) == []
    assert not (engine.data_dir / "engine" / "jobs" / made["id"] / "resume").exists()
    job = engine.job(made["id"])
    assert job["status"] == "cancelled"
    assert job["rft"]["step"] < SLOW["steps"]
    checkpoints = engine.request("GET", f"/v1/fine_tuning/jobs/{made['id']}/checkpoints")[1]["data"]
    model = checkpoints[0]["fine_tuned_model_checkpoint"]
    body = {"model": model, "messages": [{"role": "user", "content": "refund"}]}
    assert engine.request("POST", "/v1/chat/completions", body)[0] == 200
    status, refusal = engine.request("POST", f"/v1/fine_tuning/jobs/{made['id']}/cancel")
    assert (status, refusal["error"]["message"]) == (400, "The job has already been cancelled.")


def test_a_waiting_job_is_cancelled_before_it_starts(engine: Engine) -> None:
    first = engine.new_job(reinforcement={"hyperparameters": SLOW})[1]
    second = engine.new_job()[1]
    assert engine.request("POST", f"/v1/fine_tuning/jobs/{second['id']}/cancel")[1]["status"] == "cancelled"
    engine.request("POST", f"/v1/fine_tuning/jobs/{first['id']}/cancel")
    assert engine.job(second["id"])["rft"]["step"] is None


def test_a_grader_that_always_fails_fails_the_job_with_its_words(engine: Engine) -> None:
    broken = {"type": "python", "name": "p", "source": "def grade(sample, item):\n    return item['absent']\n"}
    made = engine.new_job(reinforcement={"grader": broken})[1]
    job = engine.wait_final(made["id"])
    assert job["status"] == "failed"
    assert job["fine_tuned_model"] is None
    assert job["error"]["message"].startswith("Training stopped because the grader failed on every answer: ")
    assert "absent" in job["error"]["message"]


@pytest.mark.parametrize(("interval", "status"), [(5, "succeeded"), (1000, "failed")])
def test_collapse_is_said(engine: Engine, interval: int, status: str) -> None:
    """Prompts that can't be told apart leave one answer to all of them. A checkpoint from before that is better than
    guessing (0.67 against 0.33) is kept; without one the job failed."""
    lines = [
        {"messages": [{"role": "user", "content": "Hello"}], "reference_answer": label}
        for label in ["login", "login", "refund"] * 4
    ]
    file = engine.upload_rows(lines)
    settings = {"hyperparameters": {"eval_interval": interval}}
    made = engine.new_job(training_file=file, validation_file=file, reinforcement=settings)[1]
    job = engine.wait_final(made["id"])
    assert job["status"] == status
    assert (job["error"] is None) == (job["fine_tuned_model"] is not None) == (status == "succeeded")
    notes = [event["message"] for event in engine.events(job["id"]) if "collapsed" in event["message"]]
    assert notes[0].startswith("The policy collapsed at step ")
    assert "“login” to nearly every prompt" in notes[0]
    assert (job["error"] or {"code": "policy_collapsed"})["code"] == "policy_collapsed"


def file_of(engine: Engine, *lines: str) -> str:
    status, made = engine.upload("\n".join(lines).encode())
    assert status == 200
    return str(made["id"])


GOOD = json.dumps(rows(0, 1)[0])


@pytest.mark.parametrize(
    ("change", "param", "sentence"),
    [
        ({"model": "gpt-9"}, "model", "There is no model “gpt-9” here; this engine has "),
        ({"model": "static"}, "model", "There is no model “static” here; this engine has "),
        (
            {"training_file": "file-none"},
            "training_file",
            "There is no file “file-none”: upload the training file first.",
        ),
        ({"validation_file": "file-none"}, "validation_file", "There is no file “file-none”: upload the validation "),
        (
            {"method": {"type": "supervised"}},
            "method.type",
            "This engine trains by reinforcement only: set method.type",
        ),
        ({"suffix": "a b"}, "suffix", "The suffix may have up to 64 letters, digits, dots, dashes and underscores."),
        ({"seed": -1}, "seed", "The seed must be a whole number from 0 to 2147483647."),
        ({"metadata": {"a": 1}}, "metadata", "Metadata names have up to 64 characters, values are texts of up to 512."),
        (
            {"reinforcement": {"hyperparameters": {"steps": 0}}},
            "method.reinforcement.hyperparameters",
            "Hyperparameter “steps” must be between 1 and 5000, not 0.",
        ),
        (
            {"reinforcement": {"hyperparameters": {"n_epochs": 2}}},
            "method.reinforcement.hyperparameters",
            "There is no hyperparameter “n_epochs” here; known are steps, ",
        ),
        (
            {"reinforcement": {"grader": {"type": "string_check", "name": "x"}}},
            "method.reinforcement.grader",
            "The grader can't be used: input: this field is missing.",
        ),
        (
            {
                "reinforcement": {
                    "grader": {
                        "type": "score_model",
                        "name": "judge",
                        "model": "gpt-4.1",
                        "input": [{"role": "user", "content": "Rate {{sample.output_text}}"}],
                    }
                }
            },
            "method.reinforcement.grader",
            "The local engine has no judge model, so it can't run score_model graders: use a python, ",
        ),
        (
            {"reinforcement": {"grader": {**EXACT, "reference": "{{item.gold}}"}}},
            "training_file",
            "Row 1 of the training file has no field “gold”, which the grader reads.",
        ),
        (
            {"reinforcement": {"allowed_answers": []}},
            "method.reinforcement.allowed_answers",
            "The classifier needs a list of allowed answers: give allowed_answers, or example turns in the prompt.",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_in_a_sentence(engine: Engine, change, param, sentence) -> None:
    status, body = engine.new_job(**change)
    assert status == 400
    assert body["error"]["message"].startswith(sentence)
    assert body["error"]["param"] == param
    assert body["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([GOOD, "not json"], "Line 2 of the training file is no JSON."),
        (["[1]"], "Line 1 of the training file is no JSON object."),
        (["{}"], "Line 1 of the training file has no list of messages."),
        (["", ""], "The training file is empty."),
        (
            ['{"messages": [{"role": "boss", "content": "x"}]}'],
            "Message 1 of Line 1 of the training file has the role ",
        ),
        (['{"messages": [{"role": "user"}]}'], "Message 1 of Line 1 of the training file has no content."),
        (
            ['{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}'],
            "Line 1 of the training file must end with a user message, not with one of the assistant.",
        ),
    ],
)
def test_a_bad_training_file_is_refused_with_its_line(engine: Engine, lines, sentence) -> None:
    content = file_of(engine, *lines, " ")
    status, body = engine.new_job(training_file=content)
    assert status == 400
    assert body["error"]["message"].startswith(sentence)


def test_example_turns_stand_in_for_allowed_answers(engine: Engine) -> None:
    shots = [m for label in LABELS for m in _turn(TEXTS[label][5], label)]
    lines = [{**row, "messages": [*shots, *row["messages"]]} for row in rows(0, 4)]
    made = engine.new_job(training_file=engine.upload_rows(lines), reinforcement={"allowed_answers": []})[1]
    job = engine.wait_final(made["id"])
    body = {"model": job["fine_tuned_model"], "messages": [{"role": "user", "content": "card"}], "n": 20}
    answers = engine.request("POST", "/v1/chat/completions", body)[1]["choices"]
    assert {choice["message"]["content"] for choice in answers} <= set(LABELS)


def _turn(text: str, label: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}, {"role": "assistant", "content": label}]


def test_unknown_jobs_and_files_are_404(engine: Engine) -> None:
    for path in ("/v1/fine_tuning/jobs/none", "/v1/fine_tuning/jobs/none/events", "/v1/files/none"):
        assert engine.request("GET", path)[0] == 404


def test_files_go_in_and_out(engine: Engine) -> None:
    content = (GOOD + "\n").encode()
    made = engine.upload(content, "a/../b.jsonl")[1]
    assert (made["bytes"], made["purpose"], made["filename"]) == (len(content), "fine-tune", "a_.._b.jsonl")
    assert engine.request("GET", f"/v1/files/{made['id']}")[1] == made
    assert engine.request("GET", "/v1/files?purpose=fine-tune&limit=1")[1]["data"] == [made]
    assert engine.request("GET", f"/v1/files/{made['id']}/content")[1] == json.loads(GOOD)
    assert engine.request("DELETE", f"/v1/files/{made['id']}")[1]["deleted"] is True
    assert engine.request("GET", f"/v1/files/{made['id']}")[0] == 404


def test_bad_uploads_are_refused(engine: Engine) -> None:
    assert engine.upload(b"")[1]["error"]["message"] == "The file is empty."
    assert engine.upload(b"x", purpose="batch")[1]["error"]["message"] == "The purpose must be “fine-tune”."


def test_a_file_in_use_is_not_deleted(engine: Engine) -> None:
    training = engine.upload_rows(rows(0, 4))
    made = engine.new_job(training_file=training, reinforcement={"hyperparameters": SLOW})[1]
    status, body = engine.request("DELETE", f"/v1/files/{training}")
    assert (status, body["error"]["code"]) == (409, "in_use")
    engine.request("POST", f"/v1/fine_tuning/jobs/{made['id']}/cancel")
    assert engine.request("DELETE", f"/v1/files/{training}")[0] == 200
