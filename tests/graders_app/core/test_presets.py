from __future__ import annotations

import pytest

from graders_app.core.evaluate import make_item, make_sample, open_grader
from graders_app.core.presets import PRESETS, PresetContext, load_preset
from graders_app.core.spec import GraderError, item_fields, parse_grader

CONTEXT = PresetContext(
    labels=["card_arrival", "card", "Lost card", "c++ help", "billing", " "],
    reference_count=40,
    total=50,
    json_fields=["label", "urgency"],
    typical_answer_chars=100,
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
        ("format_compliance", (50, 50)),
        ("conciseness", (50, 50)),
    ]
    assert [preset.available(PresetContext(total=50, reference_count=40)) for preset in PRESETS] == [
        (40, 50),
        (0, 50),
        (0, 50),
        (50, 50),
    ]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.slug)
def test_a_preset_explains_itself_and_builds_a_valid_document(preset):
    config = preset.build(CONTEXT)

    assert parse_grader(config).to_config() == config
    assert config["name"] == preset.slug
    assert preset.measures.endswith(".")
    assert preset.needs.endswith(".")
    assert item_fields(parse_grader(config)) <= {"reference_answer", "user_message"}


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

    names = "exact_label, label_partial_credit, format_compliance, conciseness"
    assert str(error.value) == f"preset: there is no preset 'helpful', choose one of {names}."


@pytest.mark.parametrize(
    ("slug", "message"),
    [
        ("label_partial_credit", "preset: this preset needs records with a reference answer to learn the labels from."),
        ("format_compliance", "preset: this preset needs the names of the fields an answer must have."),
    ],
)
def test_a_preset_that_lacks_what_it_needs_is_not_built(slug, message):
    with pytest.raises(GraderError) as error:
        load_preset(slug).build(PresetContext(total=3, labels=[" "]))

    assert str(error.value) == message
