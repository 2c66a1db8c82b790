"""Arbitrary JSON for property tests: lone surrogates and NULs too."""

from __future__ import annotations

from hypothesis import strategies as st

any_text = st.text(st.characters(codec=None))
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1)
any_json = st.recursive(
    st.none() | st.booleans() | numbers | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(any_text, any_json, max_size=4)
