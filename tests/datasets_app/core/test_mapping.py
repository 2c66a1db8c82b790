"""Choices of fields: on top of what the format says, and nothing that a file holds is thrown away by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.core.mapping import AS_THE_FORMAT_SAYS, FieldMapping, ItemField, item_fields
from datasets_app.core.records import Trace, dumps


def trace(**more) -> Trace:
    metadata = {"ticket": {"id": 71, "team": "billing"}, "thread": "t-9", "empty": ""}
    return Trace(data={"input": {"messages": []}}, fields={"label": "a", "hint": "b"}, metadata=metadata, **more)


def test_nothing_chosen_changes_nothing():
    assert dumps(AS_THE_FORMAT_SAYS.apply(trace(span_id="s"))) == dumps(trace(span_id="s"))


def test_answer_ids_and_item_fields_come_from_where_they_were_pointed_to():
    mapping = FieldMapping(
        reference="metadata.ticket.team",
        span_id="metadata.ticket.id",
        session_id="metadata.thread",
        fields={"team": "metadata.ticket.team"},
        left_out=("hint",),
    )
    mapped = mapping.apply(trace(span_id="given"))
    assert (mapped.reference_answer, mapped.has_reference) == ("billing", True)
    assert (mapped.span_id, mapped.session_id) == ("71", "t-9")
    assert mapped.fields == {"label": "a", "team": "billing"}
    assert mapped.metadata["hint"] == "b"


@pytest.mark.parametrize("path", ["metadata.nothing", "metadata.ticket", "metadata.empty"])
def test_an_id_that_is_not_there_leaves_the_one_of_the_format(path):
    mapped = FieldMapping(span_id=path, session_id=path).apply(trace(span_id="given", session_id="s"))
    assert (mapped.span_id, mapped.session_id) == ("given", "s")


def test_a_field_that_is_moved_to_another_name_is_read_before_it_is_left_out():
    mapped = FieldMapping(fields={"answer": "fields.label"}, left_out=("label",)).apply(trace())
    assert mapped.fields == {"hint": "b", "answer": "a"}
    assert mapped.metadata["label"] == "a"


def test_fields_are_offered_with_a_value_and_how_many_have_it():
    other = Trace(data={}, fields={"label": "c"}, metadata={"label": "never offered twice"})
    assert item_fields([trace(), other]) == [
        ItemField("label", "fields.label", 2, "a", True),
        ItemField("hint", "fields.hint", 1, "b", True),
        ItemField("thread", "metadata.thread", 1, "t-9", False),
        ItemField("ticket_id", "metadata.ticket.id", 1, "71", False),
        ItemField("ticket_team", "metadata.ticket.team", 1, "billing", False),
    ]


def test_a_place_whose_name_no_page_can_show_is_not_offered():
    assert item_fields([Trace(data={}, fields={"\ud800": 1}, metadata={"a\x00": 2})]) == []


names = st.sampled_from(["label", "label_", "team", "hint"])


@given(st.dictionaries(names, st.integers()), st.dictionaries(names, st.integers()), st.sets(names))
def test_no_value_of_a_record_is_lost_by_a_choice(fields, metadata, left_out):
    """Whatever is left out: every value that was there is still an item field or in the metadata."""
    mapped = FieldMapping(left_out=tuple(left_out)).apply(Trace(data={}, fields=dict(fields), metadata=dict(metadata)))
    assert mapped.fields == {name: value for name, value in fields.items() if name not in left_out}
    assert mapped.metadata.items() >= metadata.items()
    before, after = ([*a.values(), *b.values()] for a, b in ((fields, metadata), (mapped.fields, mapped.metadata)))
    assert sorted(before) == sorted(after)
