"""Graders and answers that every form of a grader has to score the same, and a judge that always says the same."""

from __future__ import annotations

import json
import random
from hashlib import blake2b

from graders_app.core.presets import PRESETS, PresetContext
from graders_app.core.samples import make_sample
from graders_app.core.spec import METRICS
from rft_project.platforms.types import make_item

JUDGE_MODEL = "us.amazon.nova-premier-v1:0"
LABELS = ["refund", "lost card", "lost", "c++ help", "Überweisung"]
_WORDS = "the|a|cat|Cat|cats|running|ran|quickly,|don't|3.14|1,000|it's|über|東京|well-known|&|(x)|_y_|[z]|…|ok!"
WORDS = _WORDS.split("|")
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "refund",
            "parameters": {
                "type": "object",
                "properties": {"order": {"type": "string"}, "cents": {"type": "integer"}},
                "required": ["order"],
            },
        },
    }
]
CONTEXT = PresetContext(
    labels=LABELS,
    reference_count=200,
    total=200,
    json_fields=["label", "urgency"],
    typical_answer_chars=40,
    number_count=100,
    call_count=50,
    tool_count=100,
    json_schema={
        "type": "object",
        "properties": {"label": {"type": "string"}, "urgency": {"type": "integer"}},
        "required": ["label"],
    },
)
BROKEN = """\
def divided(a, b):
    return a / b


def grade(sample, item):
    print("this goes nowhere")
    length = len(sample["output_text"])
    if length % 5 == 0:
        return divided(1, 0)
    if length % 5 == 1:
        return float("nan")
    if length % 5 == 2:
        return True
    if length % 5 == 3:
        return item["no such\\tfield"]
    return length  # over 1, to be clamped
"""


def checked(operation: str, input: str, reference: str) -> dict:
    return {"type": "string_check", "name": "check", "operation": operation, "input": input, "reference": reference}


def similar(metric: str) -> dict:
    texts = {"input": "{{sample.output_text}}", "reference": "{{ item.reference_answer }}"}
    return {"type": "text_similarity", "name": metric, "evaluation_metric": metric, **texts}


def multi(name: str, graders: dict, formula: str) -> dict:
    return {"type": "multi", "name": name, "graders": graders, "calculate_output": formula}


def documents() -> dict[str, dict]:
    """Every preset, metric and operation, formulas that fail, variables that are missing, python that fails."""
    made = {preset.slug: preset.build(CONTEXT) for preset in PRESETS}
    for config in made.values():
        for part in config.get("graders", {}).values():
            if part["type"] == "score_model":
                part["model"] = JUDGE_MODEL
    text, reference = "{{ sample.output_text }}", "{{ item.reference_answer }}"
    made["metrics"] = multi("metrics", {name: similar(name) for name in METRICS}, "+".join(METRICS))
    operations = {name: checked(name, text, "{{item.label}}") for name in ("eq", "ne", "like", "ilike")}
    made["operations"] = multi("operations", operations, "max(eq, ne) - 0.5 * like ^ 2 + log(ilike + 0.5)")
    json_parts = {
        "deep": checked("eq", "{{sample.output_json.tags[0]}}", "{{item.label}}"),
        "whole": checked("like", "{{ sample.output_json }}", "{{item.label}}"),
        "tool": checked("eq", "{{sample.output_tools[0].function.name}}", "refund"),
    }
    made["json answers"] = multi("json", json_parts, "(deep + whole) / (2 - 2 * tool)")
    made["missing variable"] = checked("eq", text, "{{item.sometimes.there}}")
    made["broken python"] = {"type": "python", "name": "broken", "source": BROKEN}
    made["no python"] = multi(
        "loads", {"no": {"type": "python", "name": "no", "source": "1 / 0\ndef grade(s, i): return 1"},
                  "eq": checked("eq", text, reference)}, "no + eq"
    )  # fmt: skip
    return made


def answers(count: int = 200) -> list[tuple[dict, dict]]:
    """(sample, item) pairs, the same ones each time: labels, prose, numbers, JSON and tool calls, some broken."""
    draw = random.Random(5)
    return [_answer(draw, at) for at in range(count)]


def _answer(draw: random.Random, at: int) -> tuple[dict, dict]:
    prose = " ".join(draw.choices(WORDS, k=draw.randint(0, 14)))
    near = " ".join(word for word in prose.split(" ") if draw.random() < 0.7) + draw.choice(["", ".", " cats"])
    number = round(draw.uniform(-2000, 2000), draw.choice([0, 2]))
    call = {"name": "refund", "arguments": json.dumps({"order": str(at % 3), "cents": at})}
    label = draw.choice(LABELS)
    ((text, reference),) = draw.choices(
        [
            (label, draw.choice(LABELS)),
            (f"I think it is {label}.", label),
            (near, prose),
            (prose, prose),
            (f"So the answer is ${number:,}", str(draw.choice([number, number + 1]))),
            (json.dumps({"label": label, "urgency": draw.choice([1, "2"]), "tags": [label][: at % 2]}), label),
            ('{"label": "refund",', json.dumps([call])),
            ("[1, NaN]", label),
            ("", json.dumps([call])),
        ],
        weights=[1, 1, 6, 2, 2, 1, 1, 1, 1],
    )
    tools = [{"id": "1", "type": "function", "function": {**call}}] if draw.random() < 0.3 else []
    if tools and draw.random() < 0.3:
        tools[0]["function"]["arguments"] = draw.choice(["{", '{"cents": "many"}'])
    fields = {"label": label, "tools": TOOLS} | ({"sometimes": {"there": reference}} if at % 3 else {})
    messages = [{"role": "system", "content": "Help."}, {"role": "user", "content": f"Question {at}: {near[:20]}?"}]
    item = make_item(fields, messages, None if at % 17 == 0 else reference)
    return make_sample(text, tools), item


def judgement(prompt: str) -> str:
    """What the judge says of a prompt: a number of 0..2 to be clipped, or now and then nothing of use."""
    number = blake2b(prompt.encode(), digest_size=1).digest()[0]
    if number % 11 == 0:
        return json.dumps({"steps": [], "result": "good"})
    return json.dumps({"steps": [{"description": "d", "conclusion": "c"}], "result": number / 128})
