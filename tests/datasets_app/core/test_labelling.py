from __future__ import annotations

from collections.abc import Sequence

from datasets_app.core.labelling import Label, group_terms, label_groups, label_parents
from datasets_app.core.topics import check_name

from .help_desk import desk


def groups() -> list[list[str]]:
    texts, intents = desk()
    names = list(dict.fromkeys(intents))
    return [[text for text, intent in zip(texts, intents, strict=True) if intent == name] for name in names]


def test_labels_read_well() -> None:
    labels = label_groups(groups())
    names = [label.name for label in labels if label]
    assert len(names) == len(set(names)) == 6
    assert all(check_name(name) for name in names)
    for label, word in zip(labels, ["refund", "password", "parcel", "invoice", "battery", "subscription"], strict=True):
        assert label is not None
        assert any(word in keyword for keyword in label.keywords)
        assert len(label.keywords) <= 10
        assert label.description.startswith("Requests about ")
    assert labels[5] is not None
    assert labels[5].name.startswith("subscription") or labels[5].name.endswith("subscription")


def test_common_words_name_nothing() -> None:
    terms = group_terms([["please help me with the card", "can you help with a card"], ["the weather today"] * 2])
    assert [term.text for term in terms[0]] == ["card"]
    assert [term.text for term in terms[1]] == ["weather"]


def test_singular_plural_and_hyphens_count_as_one() -> None:
    [terms] = group_terms([["virtual card", "virtual cards", "a virtual-card", "Virtual cards"]])
    assert (terms[0].text, terms[0].share) == ("virtual card", 1.0)


def test_a_pair_of_words_keeps_its_particle() -> None:
    labels = label_groups([["top up failed", "my top-up failed again", "top up did not go through"], ["pin"] * 3])
    assert labels[0] is not None
    assert "top up" in labels[0].keywords


def test_a_group_nothing_holds_together_has_no_label() -> None:
    junk = ["qwxz plom", "brak tuvi", "lomp sdee", "mnop ghtr", "zzkw pqrs", "vbnm uiop", "fghj wert", "yxcv asdf"] * 2
    labels = label_groups([junk[:8], ["parcel late", "parcel lost", "parcel gone"]])
    assert labels[0] is None
    assert labels[1] is not None


def test_names_are_unique_even_for_equal_groups() -> None:
    labels = label_groups([["card payment declined"] * 4, ["card payment declined"] * 4, ["card payment declined"] * 4])
    names = [label.name for label in labels if label]
    assert len(set(names)) == 3
    parents = label_parents([["card payment declined"] * 4] * 2, names)
    assert len({*names, *(label.name for label in parents)}) == 5


def test_a_helper_model_names_where_it_can() -> None:
    seen: list[tuple[int, list[str]]] = []

    def helper(examples: Sequence[str], keywords: Sequence[str], taken: Sequence[str]) -> Label | None:
        seen.append((len(examples), list(taken)))
        answers = {
            "refund": Label("Money Back!", "Asking for  money.", ["refund", "money back"]),
            "password": Label("Money back", "", ["only one"]),
            "parcel": None,
            "invoice": Label("???", "Nothing usable.", []),
        }
        word = next((word for word in answers if any(word in text.lower() for text in examples)), None)
        return answers[word] if word else None

    helped, own = label_groups(groups(), helper), label_groups(groups())
    assert helped[0] == Label("money_back", "Asking for money.", ["refund", "money back"], own[0].coverage)
    assert helped[1].name == "money_back_2"
    assert (helped[1].description, helped[1].keywords) == (own[1].description, own[1].keywords)
    assert helped[2:] == own[2:]
    assert seen[0] == (16, [])
    assert seen[1] == (16, ["money_back"])


def test_a_verb_keeps_its_particle_in_the_name() -> None:
    texts = [
        "password wrong",
        "my password",
        "which password",
        "password, log in",
        "log in, password",
        "password: log in",
    ]
    labels = label_groups([[*texts, *(["a password"] * 4)], ["parcel late"] * 3])
    assert labels[0] is not None
    assert labels[0].name == "password_log_in"


def test_a_name_that_few_of_the_texts_would_believe_is_none() -> None:
    """Eight pairs of texts with a word of their own each: the best word is in an eighth of the group."""
    words = ["vacuum", "kettle", "grinder", "toaster", "doorbell", "heater", "blanket", "purifier"]
    mixture = [f"{word} {index}" for word in words for index in range(2)]
    labels = label_groups([mixture, ["parcel late", "parcel lost", "parcel gone"]])
    assert labels[0] is None
    assert labels[1] is not None
    asked_for = label_groups([mixture], strict=False)
    assert asked_for[0] is not None
    assert asked_for[0].coverage == 2 / 16
