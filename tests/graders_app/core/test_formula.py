from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graders_app.core.formula import FUNCTIONS, FormulaError, parse_formula

VALUES = {"a": 0.5, "b": 2.0, "zero": 0.0, "minus": -1.0, "min": 7.0}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a", 0.5),
        ("0.7*a + 0.3*b", 0.95),
        ("a+b*2-1", 3.5),
        ("(a+b)*2", 5.0),
        ("8/2/2", 2.0),
        ("5-2-1", 2.0),
        ("2^3^2", 512.0),
        ("-2^2", -4.0),
        ("2^-1", 0.5),
        ("2*-a", -1.0),
        ("--a", 0.5),
        (".5 + 1e-1 + 2.", 2.6),
        ("min(a, b, 3)", 0.5),
        ("max(a)", 0.5),
        ("abs(minus)", 1.0),
        ("floor(a) + ceil(a)", 1.0),
        ("exp(0) + sqrt(4) + log(1)", 3.0),
        ("max(0, min(1, a*b^2 - 0.5))", 1.0),
        ("min + 1", 8.0),
        (" a\n+\tb ", 2.5),
    ],
)
def test_a_formula_is_worked_out(text, result):
    assert parse_formula(text).evaluate(VALUES) == pytest.approx(result, abs=1e-12)


def test_it_says_which_graders_it_reads():
    assert parse_formula("0.5*label + max(why, 0.1)^label").names == {"label", "why"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a number or a grader but found 'the end'"),
        ("a +", "expected a number or a grader but found 'the end'"),
        ("a b", "did not expect 'b'"),
        ("a if b else 0", "did not expect 'if'"),
        ("a > b", "did not expect '>'"),
        ("a ** b", "expected a number or a grader but found '*'"),
        ("(a", "expected ')' but found 'the end'"),
        ("a)", "did not expect ')'"),
        ("min(a b)", "expected ')' but found 'b'"),
        ("min()", "expected a number or a grader but found ')'"),
        ("abs(a, b)", "abs takes 1 value, not 2"),
        ("round(a)", "'round' is not a function, use one of min, max, abs, floor, ceil, exp, sqrt, log"),
        ("__import__('os')", 'did not expect "\'"'),
        ("a.__class__", "did not expect '.'"),
        ("a[0]", "did not expect '['"),
        ("(" * 100 + "a" + ")" * 100, "the formula is nested too deeply"),
        ("2^" * 200 + "2", "the formula is nested too deeply"),
        ("a+" * 3000 + "a", "the formula is longer than 4,000 characters"),
    ],
)
def test_what_is_no_formula_is_refused_with_the_word_it_stopped_at(text, message):
    with pytest.raises(FormulaError) as error:
        parse_formula(text)

    assert str(error.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a / zero", "'a / zero' divides by zero"),
        ("zero ^ -1", "'zero ^ -1' takes a root, power or logarithm that has no real value"),
        ("sqrt(minus)", "'sqrt(minus)' takes a root, power or logarithm that has no real value"),
        ("log(zero)", "'log(zero)' takes a root, power or logarithm that has no real value"),
        ("minus ^ a", "'minus ^ a' takes a root, power or logarithm that has no real value"),
        ("exp(1000)", "'exp(1000)' gives a number that is too large"),
        ("1e308 * 10", "'1e308 * 10' gives inf, which is not a finite number"),
        ("missing + 1", "'missing' has no value"),
    ],
)
def test_numbers_that_have_no_result_are_reported(text, message):
    with pytest.raises(FormulaError) as error:
        parse_formula(text).evaluate(VALUES)

    assert str(error.value) == message


NAMES = st.sampled_from(["a", "b", "c"])
NUMBERS = st.floats(0.001, 100).map(lambda number: repr(round(number, 3)))
PAIRS = lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner)  # noqa: E731
EXPRESSIONS = st.recursive(
    NAMES | NUMBERS,
    lambda inner: (
        PAIRS(inner).map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})")
        | PAIRS(inner).map(lambda parts: f"{parts[0]}{parts[1]}{parts[2]}")
        | inner.map(lambda text: f"-({text})")
        | st.tuples(inner, inner).map(lambda pair: f"max({pair[0]}, {pair[1]})")
        | inner.map(lambda text: f"abs({text})^2")
    ),
    max_leaves=12,
)


@given(EXPRESSIONS, st.floats(-10, 10), st.floats(-10, 10), st.floats(0.1, 10))
def test_it_agrees_with_python_arithmetic(text, a, b, c):
    """Python's own evaluator is the oracle; these texts were made here, not given by anybody."""
    values = {"a": a, "b": b, "c": c}
    try:
        expected = float(eval(text.replace("^", "**"), {"max": max, "abs": abs}, values))
    except (ZeroDivisionError, OverflowError):
        expected = math.inf
    if math.isfinite(expected):
        assert parse_formula(text).evaluate(values) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    else:
        with pytest.raises(FormulaError):
            parse_formula(text).evaluate(values)


@given(st.text(alphabet="ab+-*/^(),. 0123min", max_size=30))
def test_any_text_is_a_formula_or_a_formula_error(text):
    try:
        result = parse_formula(text).evaluate(dict.fromkeys(parse_formula(text).names, 0.5))
    except FormulaError as error:
        assert str(error)
    else:
        assert math.isfinite(result)


def test_the_functions_are_those_of_the_guide():
    assert list(FUNCTIONS) == ["min", "max", "abs", "floor", "ceil", "exp", "sqrt", "log"]
