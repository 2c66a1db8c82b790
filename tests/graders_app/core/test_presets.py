from __future__ import annotations

import json
from pathlib import Path

import pytest

from graders_app.core.evaluate import JudgeAnswer, make_item, make_sample, open_grader
from graders_app.core.preset_sources import load_source
from graders_app.core.presets import PRESETS, PresetContext, load_preset
from graders_app.core.spec import GraderError, item_fields, parse_grader

CONTEXT = PresetContext(
    labels=["card_arrival", "card", "Lost card", "c++ help", "billing", " "],
    reference_count=40,
    total=50,
    json_fields=["label", "urgency"],
    typical_answer_chars=100,
    number_count=30,
    call_count=20,
    tool_count=25,
    json_schema={"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]},
)


def rewards(slug: str, answers: list[str], reference: str = "card_arrival", context: PresetContext = CONTEXT) -> list:
    item = make_item({}, [{"role": "user", "content": "where on earth is my card?"}], reference)
    with open_grader(load_preset(slug).build(context)) as grader:
        results = grader.grade_many([(make_sample(answer), item) for answer in answers])
    assert [result.errors for result in results] == [[]] * len(answers)
    return [result.reward for result in results]


def test_presets_come_in_a_fixed_order_and_say_how_many_records_have_what_they_need():
    assert [(preset.slug, preset.available(CONTEXT)) for preset in PRESETS] == [
        ("exact_label", (40, 50)),
        ("label_partial_credit", (40, 50)),
        ("numeric_answer", (30, 50)),
        ("similarity", (40, 50)),
        ("tool_call_match", (20, 50)),
        ("tool_usage", (25, 50)),
        ("json_schema", (50, 50)),
        ("format_compliance", (50, 50)),
        ("conciseness", (50, 50)),
        ("correctness", (40, 50)),
    ]
    bare = PresetContext(total=50, reference_count=40)
    assert [preset.available(bare)[0] for preset in PRESETS] == [40, 0, 0, 40, 0, 0, 0, 0, 50, 40]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.slug)
def test_a_preset_explains_itself_and_builds_a_valid_document(preset):
    config = preset.build(CONTEXT)

    assert parse_grader(config).to_config() == config
    assert config["name"] == preset.slug
    assert preset.measures.endswith(".")
    assert preset.needs.endswith(".")
    assert item_fields(parse_grader(config)) <= {"reference_answer", "user_message", "messages", "tools"}


def test_exact_label():
    assert rewards("exact_label", ["card_arrival", "card_arrival.", "billing"]) == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("answer", "reward"),
    [
        ("card_arrival", 1.0),
        ("Card_Arrival", 1.0),
        ("  card_arrival.\n", 1.0),
        ("**card_arrival**", 1.0),
        ('"card_arrival".', 1.0),
        ("It is card_arrival", 0.5),
        ("card_arrival, surely card_arrival", 0.5),
        ("billing", 0.1),
        ("LOST  CARD!", 0.1),
        ("c++ help", 0.1),
        ("I think billing", 0.0),
        ("card_arrival or billing", 0.05),
        ("card or billing", 0.05),
        ("card_arrivals", 0.0),
        ("no idea", 0.0),
        ("", 0.0),
    ],
)
def test_label_with_partial_credit(answer, reward):
    assert rewards("label_partial_credit", [answer]) == [reward]


def test_a_label_inside_a_longer_one_does_not_count():
    assert rewards("label_partial_credit", ["it is lost card", "lost card"], "Lost card") == [0.5, 1.0]


def test_a_reference_that_is_no_known_label_can_still_be_met():
    assert rewards("label_partial_credit", ["new one", "billing"], "New one") == [1.0, 0.1]


def test_format_compliance():
    answers = [
        '{"label": "a", "urgency": 0}',
        '{"label": "a"}',
        '{"label": "", "urgency": null}',
        "[1]",
        "label: a",
        "",
    ]
    assert rewards("format_compliance", answers) == [1.0, 0.75, 0.5, 0.0, 0.0, 0.0]


def test_conciseness_pays_for_an_answer_and_for_brevity():
    answers = ["In your mail.", "y" * 100, "y" * 200, "y" * 400, "", " ...", "Where on earth is my card?"]
    assert rewards("conciseness", answers) == pytest.approx([1.0, 1.0, 0.8, 0.7, 0.0, 0.0, 0.0])


def test_presets_are_found_by_either_spelling():
    assert load_preset(" label-partial-credit").title == "Label with partial credit"


def test_an_unknown_preset_is_told_with_the_ones_there_are():
    with pytest.raises(GraderError) as error:
        load_preset("helpful")

    names = ", ".join(preset.slug for preset in PRESETS)
    assert str(error.value) == f"preset: there is no preset 'helpful', choose one of {names}."


@pytest.mark.parametrize(
    ("slug", "message"),
    [
        ("label_partial_credit", "preset: this preset needs records with a reference answer to learn the labels from."),
        ("format_compliance", "preset: this preset needs the names of the fields an answer must have."),
        ("json_schema", "preset: this preset needs the JSON schema that an answer must fit."),
    ],
)
def test_a_preset_that_lacks_what_it_needs_is_not_built(slug, message):
    with pytest.raises(GraderError) as error:
        load_preset(slug).build(PresetContext(total=3, labels=[" "]))

    assert str(error.value) == message


@pytest.mark.parametrize(
    ("answer", "reference", "reward"),
    [
        ("5 + 7 = 12. The answer is 12", "12", 1.0),
        ("The answer is 12.", 12, 1.0),
        ("#### 1,300", "1300", 1.0),
        ("It costs $ 1,300.50", "$1300.5", 1.0),
        ("\u22123 degrees", "-3", 1.0),
        ("from 12-15", "15", 1.0),
        ("1.2e3", "1200", 1.0),
        ("12 or 13", "12", 0.0),
        ("twelve", "12", 0.0),
        ("", "12", 0.0),
    ],
)
def test_numeric_answer(answer, reference, reward):
    assert rewards("numeric_answer", [answer], reference) == [reward]


def test_a_numeric_answer_within_the_tolerance():
    context = PresetContext(tolerance=0.01)
    assert rewards("numeric_answer", ["101", "102", "99.1"], "100", context) == [1.0, 0.0, 1.0]


def test_a_reference_without_a_number_is_the_graders_fault():
    with open_grader(load_preset("numeric_answer").build(CONTEXT)) as grader:
        result = grader.grade(make_sample("12"), make_item({}, [], "a dozen"))

    assert (result.reward, [issue.kind for issue in result.errors]) == (None, ["python_grader_runtime_error"])
    assert result.errors[0].message == "Line 18: ValueError: the reference answer has no number in it"


def test_similarity_is_rouge_l():
    assert rewards(
        "similarity", ["your card is on its way", "way its on is card your", ""], "your card is on its way"
    ) == [
        1.0,
        pytest.approx(1 / 6),
        0.0,
    ]


SCHEMA = {
    "type": "object",
    "properties": {
        "label": {"type": "string", "enum": ["a", "b"]},
        "score": {"type": "integer", "minimum": 0, "maximum": 10},
        "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}, "maxItems": 2},
        "note": {"anyOf": [{"type": "null"}, {"type": "string", "minLength": 2}]},
    },
    "required": ["label", "score", "tags", "note"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("answer", "reward"),
    [
        ('{"label": "a", "score": 3, "tags": ["x"], "note": null}', 1.0),
        ('{"label": "a", "score": 3.0, "tags": [], "note": "ok"}', 1.0),
        ('{"label": "c", "score": 3, "tags": [], "note": null}', 0.3),
        ('{"label": "a", "score": true, "tags": [], "note": "x"}', 0.2),
        ('{"label": "a", "score": 11, "tags": ["X"]}', 0.1),
        ('{"label": "a", "score": 3, "tags": [], "note": null, "more": 1}', 0.4),
        ("[]", 0.0),
        ("label a", 0.0),
    ],
)
def test_json_schema(answer, reward):
    assert rewards("json_schema", [answer], context=PresetContext(json_schema=SCHEMA)) == [pytest.approx(reward)]


def call(name: str, **arguments) -> dict:
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "find",
            "parameters": {
                "type": "object",
                "properties": {"id": {"type": "integer"}, "full": {"type": "boolean"}, "by": {"enum": ["x", "y"]}},
                "required": ["id"],
            },
        },
    },
    {"type": "function", "function": {"name": "stop", "parameters": {"type": "object", "properties": {}}}},
]


def graded_calls(slug: str, calls: list[dict], reference, *, text: str = "", messages=()) -> object:
    conversation = [{"role": "user", "content": "Where is order 17?"}, *messages]
    item = make_item({"tools": TOOLS}, conversation, reference)
    with open_grader(load_preset(slug).build(CONTEXT)) as grader:
        result = grader.grade(make_sample(text, calls), item)
    assert result.errors == []
    return result


@pytest.mark.parametrize(
    ("calls", "reward"),
    [
        ([call("find", id=17, full=True)], 1.0),
        ([call("find", full=True, id=17)], 1.0),
        ([call("find", id=18, full=True)], 0.345),
        ([call("find", id=17)], 0.345),
        ([call("find")], 0.2),
        ([call("stop", id=17, full=True)], 0.0),
        ([call("find", id=17, full=True), call("stop")], 0.5),
        ([], 0.0),
    ],
)
@pytest.mark.parametrize(
    "reference",
    [
        {"name": "find", "arguments": {"id": 17, "full": True}},
        [call("find", id=17, full=True)],
        {"tool_calls": [call("find", id=17, full=True)]},
        json.dumps([{"name": "find", "arguments": {"id": 17, "full": True}}]),
    ],
    ids=["call", "chat calls", "tool_calls", "text"],
)
def test_tool_call_match(calls, reward, reference):
    assert graded_calls("tool_call_match", calls, reference).reward == pytest.approx(reward)


def test_a_call_that_nobody_wanted():
    assert graded_calls("tool_call_match", [], []).reward == 1.0
    assert graded_calls("tool_call_match", [call("stop")], []).reward == 0.0


@pytest.mark.parametrize(
    ("calls", "reference", "parts"),
    [
        ([call("find", id=1)], None, (1, 1, 1)),
        ([call("guess", id=1)], None, (0, 0, 1)),
        ([call("find", id="1")], None, (1, 0, 1)),
        ([call("find", id=1, by="z")], None, (1, 0, 1)),
        ([call("find", id=1, more=2)], None, (1, 0, 1)),
        ([call("find")], None, (1, 0, 1)),
        ([call("stop")], [call("find", id=1)], (0, 1, 1)),
        ([call("stop"), call("find", id=1)], [call("find", id=1)], (0.5, 1, 1)),
        ([], None, (0, 0, 0)),
    ],
)
def test_tool_usage_before_a_tool_has_answered(calls, reference, parts):
    result = graded_calls("tool_usage", calls, reference)

    assert tuple(result.sub_rewards.values()) == pytest.approx(parts)
    assert result.reward == pytest.approx(0.3 * parts[0] + 0.3 * parts[1] + 0.4 * parts[2])


@pytest.mark.parametrize(
    ("text", "used"),
    [("It left on 2024-05-06.", 1.0), ("The depot is DHL-3.", 1.0), ("Order 17 is on its way.", 0.0), ("", 0.0)],
)
def test_what_tools_said_is_used_or_not(text, used):
    said = [{"role": "tool", "tool_call_id": "c1", "content": "17: sent 2024-05-06 by DHL-3"}]
    result = graded_calls("tool_usage", [], None, text=text, messages=[*said, {"role": "user", "content": "So?"}])

    assert result.sub_rewards["result_used"] == used


def test_correctness_asks_a_judge_for_both_and_weighs_them():
    asked = []

    def judge(questions):
        asked.extend((q.model, q.messages[1]["content"]) for q in questions)
        return [
            JudgeAnswer('{"result": 0.5, "steps": []}' if "complete" in q.messages[0]["content"] else "1")
            for q in questions
        ]

    item = make_item({}, [{"role": "user", "content": "Where?"}], "In the mail.")
    with open_grader(load_preset("correctness").build(CONTEXT), judge=judge) as grader:
        result = grader.grade(make_sample("Mail"), item)

    assert result.reward == pytest.approx(0.85)
    question = "Question:\nWhere?\n\nReference answer:\nIn the mail.\n\nAnswer to grade:\nMail"
    assert asked == [("judge", question)] * 2


def test_a_constant_that_a_source_does_not_have():
    with pytest.raises(ValueError, match="the source 'brevity' has no constant LABELS"):
        load_source("brevity", LABELS=[])


REAL = Path("../shared/data/dev-rft-gsm8k/raw_traces.jsonl")


@pytest.mark.skipif(not REAL.exists(), reason="real answers are not here")
def test_a_numeric_grader_agrees_with_people_on_real_answers():
    rows = [json.loads(line) for line in REAL.read_text(encoding="utf-8").splitlines()]
    pairs = [
        (
            make_sample(row["output"]["messages"][-1]["content"]),
            make_item({}, row["input"]["messages"], row["metadata"]["reference_answer"]),
        )
        for row in rows
    ]
    with open_grader(load_preset("numeric_answer").build(CONTEXT)) as grader:
        found = [result.reward == 1.0 for result in grader.grade_many(pairs)]

    assert len(rows) == 2638
    assert [at for at, row in enumerate(rows) if row["metadata"]["is_correct"] != found[at]] == []
