"""The attack set catches graders that can be cheated, and leaves those alone that cannot."""

from __future__ import annotations

import json

import pytest

from graders_app.core.attacks import plan_attack, run_attack
from graders_app.core.cheats import CHEATS, Case, Pool, honest
from graders_app.core.evaluate import JudgeAnswer, make_item, open_grader
from graders_app.core.presets import PresetContext, load_preset

LABELS = ["refund", "shipping", "billing", "account"]
QUESTIONS = {
    "refund": "I want my money back for order {n}, the lamp arrived broken.",
    "shipping": "Where is parcel {n}? The courier said Monday and nothing came.",
    "billing": "Invoice {n} was charged twice on my card, please check.",
    "account": "I cannot log in since I changed my e-mail address, ticket {n}.",
}


def labelled(count: int = 24) -> list[Case]:
    labels = [LABELS[n % 4] for n in range(count)]
    return [Case(_item(QUESTIONS[label].format(n=1000 + n), label), label) for n, label in enumerate(labels)]


def written(count: int = 24) -> list[Case]:
    """Free text: the logged answers say the reference in other words."""
    cases = []
    for n in range(count):
        label = LABELS[n % 4]
        reference = (
            f"Thank you for writing about case {1000 + n}. We have passed your {label} question on to a colleague, who "
            f"answers within {n % 5 + 2} working days and keeps number {7000 + n} ready for you."
        )
        answer = f"Your {label} question {1000 + n} is with a colleague; you hear from us in {n % 5 + 2} days."
        cases.append(Case(_item(QUESTIONS[label].format(n=1000 + n), reference), answer))
    return cases


def structured(count: int = 24) -> list[Case]:
    cases = []
    for n in range(count):
        right = {"label": LABELS[n % 4], "order": 1000 + n}
        cases.append(Case(_item(QUESTIONS[LABELS[n % 4]].format(n=1000 + n), right), json.dumps(right)))
    return cases


def with_tools(count: int = 24) -> list[Case]:
    tools = [{"type": "function", "function": {"name": name}} for name in ("find_order", "refund_order", "ask_human")]
    cases = []
    for n in range(count):
        arguments = json.dumps({"order": 1000 + n, "express": n % 2 == 0})
        call = {"id": f"c{n}", "type": "function", "function": {"name": "find_order", "arguments": arguments}}
        item = {**_item(f"Look up order {1000 + n}", {"name": "find_order", "arguments": arguments}), "tools": tools}
        cases.append(Case(item, "", [call]))
    return cases


def _item(question: str, reference: object) -> dict:
    return make_item({}, [{"role": "user", "content": question}], reference)


def python(source: str) -> dict:
    return {"type": "python", "name": "g", "source": source}


def fooled_by(config: dict, cases: list[Case], judge=None) -> set[str]:
    with open_grader(config, judge=judge) as grader:
        report = run_attack(grader, cases)
    assert report.errors == 0
    return {result.cheat.slug for result in report.fooled}


LENGTH_ONLY = python("def grade(sample, item):\n    return min(1.0, len(sample['output_text']) / 100)\n")
SHORTNESS_ONLY = python("def grade(sample, item):\n    return 1.0 if len(sample['output_text']) < 20 else 0.0\n")
KEYWORD = python(
    "def grade(sample, item):\n"
    "    words = {w for w in item['user_message'].lower().split() if len(w) > 4}\n"
    "    return min(1.0, sum(w.strip('.,?') in sample['output_text'].lower() for w in words) / 3)\n"
)
JSON_ONLY = python(
    "import json\n\n\ndef grade(sample, item):\n"
    "    try:\n        json.loads(sample['output_text'])\n        return 1.0\n"
    "    except ValueError:\n        return 0.0\n"
)
TOOL_CALLED = python("def grade(sample, item):\n    return 1.0 if sample['output_tools'] else 0.0\n")
TOOL_NAMED = python(
    "def grade(sample, item):\n"
    "    names = [call['function']['name'] for call in sample['output_tools']]\n"
    "    return 1.0 if names == [item['reference_answer']['name']] else 0.0\n"
)
CONTAINS = {
    "type": "string_check",
    "name": "contains",
    "operation": "ilike",
    "input": "{{sample.output_text}}",
    "reference": "{{item.reference_answer}}",
}
JUDGED = {
    "type": "score_model",
    "name": "judge",
    "model": "judge",
    "input": [{"role": "user", "content": "{{item.user_message}}\n\n{{sample.output_text}}"}],
}


def flattered(questions):
    """Reads the answer, but believes what it says of itself."""
    return [
        JudgeAnswer(json.dumps({"result": _liking(q.messages[0]["content"].lower()), "steps": []})) for q in questions
    ]


def _liking(text):
    if any(word in text for word in ("excellent", "highest score", '"result"', "confident")):
        return 0.9
    return 0.6 if "is with a colleague" in text else 0.2


@pytest.mark.parametrize(
    ("config", "cases", "caught_by"),
    [
        (LENGTH_ONLY, written(), {"long", "other_answer", "confidence"}),
        (SHORTNESS_ONLY, labelled(), {"empty", "mark"}),
        (KEYWORD, written(), {"keywords", "prompt"}),
        (JSON_ONLY, structured(), {"shell"}),
        (JSON_ONLY, labelled(), {"format", "verdict"}),
        (TOOL_CALLED, with_tools(), {"wrong_argument", "no_arguments", "wrong_tool"}),
        (TOOL_NAMED, with_tools(), {"wrong_argument", "no_arguments"}),
        (CONTAINS, labelled(), {"hedged"}),
    ],
    ids=["length", "shortness", "keyword", "json", "json on labels", "tool called", "tool named", "contains"],
)
def test_a_known_bad_grader_is_caught(config, cases, caught_by):
    assert fooled_by(config, cases) >= caught_by


def test_a_judge_that_likes_praise_is_caught():
    fooled = fooled_by(JUDGED, written(), flattered)

    # that an answer belongs to another question, this judge does not see either
    assert fooled == {"praise", "orders", "verdict", "confidence", "other_answer"}


def test_a_grader_of_similarity_is_told_what_it_cannot_see():
    config = {
        "type": "text_similarity",
        "name": "rouge_1",
        "evaluation_metric": "rouge_1",
        "input": "{{sample.output_text}}",
        "reference": "{{item.reference_answer}}",
    }
    assert "shuffled" in fooled_by(config, written())


LABELS_PRESET = load_preset("label_partial_credit").build(
    PresetContext(labels=LABELS, reference_count=24, total=24, json_fields=[], typical_answer_chars=10)
)
EXACT_JSON = python(
    "import json\n\n\ndef grade(sample, item):\n"
    "    try:\n        found = json.loads(sample['output_text'])\n    except ValueError:\n        return 0.0\n"
    "    return 1.0 if found == item['reference_answer'] else 0.0\n"
)
NUMBERS = [Case(_item(f"What is {n} + {n + 3}?", str(2 * n + 3)), f"{n} + {n + 3} = {2 * n + 3}") for n in range(24)]


@pytest.mark.parametrize(
    ("config", "cases"),
    [
        (load_preset("exact_label").build(PresetContext()), labelled()),
        (LABELS_PRESET, labelled()),
        (EXACT_JSON, structured()),
        (load_preset("tool_call_match").build(PresetContext()), with_tools()),
        (load_preset("numeric_answer").build(PresetContext()), NUMBERS),
    ],
    ids=["exact label", "label with partial credit", "exact JSON", "tool call", "number"],
)
def test_a_known_good_grader_passes(config, cases):
    assert fooled_by(config, cases) == set()


def test_the_report_says_how_many_of_how_many_and_names_the_worst():
    with open_grader(TOOL_NAMED) as grader:
        report = run_attack(grader, with_tools())

    assert len(report.fooled) == 2
    assert report.sentence == f"2 of {len(report.results)} cheats fooled it; “no arguments” earned 1.00."
    assert report.honest == 1.0
    assert report.honest_count == 24


def test_a_cheat_is_told_apart_by_component():
    config = {
        "type": "multi",
        "name": "both",
        "graders": {"right": load_preset("exact_label").build(PresetContext()), "short": SHORTNESS_ONLY},
        "calculate_output": "0.7 * right + 0.3 * short",
    }
    with open_grader(config) as grader:
        report = run_attack(grader, labelled())

    empty = next(result for result in report.results if result.cheat.slug == "empty")
    assert (empty.mean, empty.components, empty.fooled_components) == (0.3, {"right": 0.0, "short": 1.0}, ["short"])
    assert not empty.fooled


def test_a_cheat_that_pays_as_well_as_honesty_fools_a_strict_grader():
    strict = python(
        "def grade(sample, item):\n    return 0.3 if sample['output_text'].startswith(('Your', 'I')) else 0.1\n"
    )
    assert fooled_by(strict, written()) >= {"refusal"}


def test_the_honest_answers_show_whether_length_or_form_is_graded():
    cases = [
        Case(case.item, case.answer + " Truly." * n + ("\n- one\n- two" if n > 11 else ""))
        for n, case in enumerate(written())
    ]
    with open_grader(
        python("def grade(sample, item):\n    return min(1.0, len(sample['output_text']) / 400)\n")
    ) as grader:
        report = run_attack(grader, cases)

    assert report.length == pytest.approx(1.0, abs=0.01)
    assert report.format is not None
    assert report.format > 0.8


def test_nothing_is_said_of_length_where_no_reward_differs():
    with open_grader(load_preset("exact_label").build(PresetContext())) as grader:
        report = run_attack(grader, labelled())

    assert (report.length, report.format) == (None, None)


def test_progress_counts_every_answer_and_the_same_seed_gives_the_same_tricks():
    seen: list[tuple[int, int]] = []
    cases = labelled()
    with open_grader(load_preset("exact_label").build(PresetContext())) as grader:
        run_attack(grader, cases, batch=50, at=lambda done, total: seen.append((done, total)))

    tricks = plan_attack(cases)
    assert seen[-1] == (len(cases) + len(tricks), len(cases) + len(tricks))
    assert [done for done, _ in seen[:-1]] == [50 * (n + 1) for n in range(len(seen) - 1)]
    assert plan_attack(cases) == tricks
    assert plan_attack(cases, seed=1) != tricks


@pytest.mark.parametrize("cases", [labelled(), written(), structured(), with_tools()], ids=["l", "w", "s", "t"])
def test_no_cheat_gives_the_right_answer_and_every_one_explains_itself(cases):
    for trick in plan_attack(cases):
        right = cases[trick.case].reference_text.lower().split()
        assert trick.attempt.tools or trick.attempt.text.lower().split() != right
        assert trick.attempt.tools != cases[trick.case].tools or not trick.attempt.tools
    assert all(cheat.trick.endswith(".") for cheat in CHEATS)
    assert len({cheat.slug for cheat in CHEATS}) == len(CHEATS) >= 20


def test_records_without_answers_or_references_are_still_attacked():
    cases = [Case(make_item({}, [{"role": "user", "content": f"What is {n} + 1?"}], None)) for n in range(3)]

    slugs = {trick.cheat.slug for trick in plan_attack(cases)}

    assert slugs >= {"empty", "refusal", "prompt", "keywords", "praise"}
    assert slugs.isdisjoint({"other_answer", "hedged", "commonest", "wrong_tool"})
    assert [honest(case) for case in cases] == [None] * 3


def test_an_empty_dataset_gives_an_empty_report():
    with open_grader(load_preset("exact_label").build(PresetContext())) as grader:
        report = run_attack(grader, [])

    assert (report.results, report.honest) == ([], None)
    assert report.sentence == "No cheat could be tried: the records have neither questions nor answers."
    assert Pool([]).references == []
