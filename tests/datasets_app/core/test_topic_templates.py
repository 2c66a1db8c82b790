from __future__ import annotations

import pytest

from datasets_app.core.topic_templates import TEMPLATES, Template
from datasets_app.core.topics import parse_tree


def test_the_promised_templates_are_there() -> None:
    assert list(TEMPLATES) == [
        "customer_support",
        "e_commerce",
        "coding_assistant",
        "data_analysis",
        "finance",
        "healthcare_intake",
        "legal",
        "hr",
        "education",
        "general",
    ]


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=list(TEMPLATES))
def test_every_template_is_a_good_start(template: Template) -> None:
    topics = template.tree.topics
    assert parse_tree(template.tree.to_json()) == template.tree
    assert len(template.tree.leaves()) >= 8
    words = [word.lower() for topic in topics.values() for word in topic.keywords]
    assert len(words) == len(set(words)), "a keyword in two topics decides nothing"
    assert 2 <= len([topic for topic in topics.values() if topic.subtopics]) <= 4  # two levels
    assert all(topic.description.endswith(".") for topic in topics.values())
    for topic in (topics[leaf] for leaf in template.tree.leaves()):
        assert 5 <= len(topic.keywords) <= 10
