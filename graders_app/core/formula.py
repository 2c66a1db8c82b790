"""``calculate_output`` of a multi grader: a small arithmetic language, parsed here and never handed to ``eval``.

Operators ``+ - * / ^`` and parentheses, functions ``min max abs floor ceil exp sqrt log`` (natural logarithm), numbers
and the names of the graders, as OpenAI's guide lists them. ``^`` is power, binds tighter than a sign and to the right,
so ``-2^2`` is -4 and ``2^3^2`` is 512.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MAX_CHARS = 4_000
MAX_DEPTH = 60

#: name -> (function, smallest number of arguments, largest or None)
FUNCTIONS: dict[str, tuple[Callable[..., float], int, int | None]] = {
    "min": (lambda *xs: min(xs), 1, None),
    "max": (lambda *xs: max(xs), 1, None),
    "abs": (abs, 1, 1),
    "floor": (math.floor, 1, 1),
    "ceil": (math.ceil, 1, 1),
    "exp": (math.exp, 1, 1),
    "sqrt": (math.sqrt, 1, 1),
    "log": (math.log, 1, 1),
}
_OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": lambda base, exponent: math.pow(base, exponent),
}
_TOKEN = re.compile(r"\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([^\W\d]\w*)|([-+*/^(),]))")

Evaluate = Callable[[Mapping[str, float]], float]


class FormulaError(ValueError):
    """One sentence about the formula or about the numbers it met."""


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed formula; ``names`` are the graders it reads."""

    text: str
    names: frozenset[str]
    _run: Evaluate

    def evaluate(self, values: Mapping[str, float]) -> float:
        """A finite number. Raises FormulaError on division by zero, overflow or a value outside a function's range."""
        try:
            result = float(self._run(values))
        except ZeroDivisionError:
            raise FormulaError(f"{self.text!r} divides by zero") from None
        except KeyError as error:
            raise FormulaError(f"{error.args[0]!r} has no value") from None
        except OverflowError:
            raise FormulaError(f"{self.text!r} gives a number that is too large") from None
        except ValueError:
            raise FormulaError(f"{self.text!r} takes a root, power or logarithm that has no real value") from None
        if not math.isfinite(result):
            raise FormulaError(f"{self.text!r} gives {result}, which is not a finite number")
        return result


def parse_formula(text: str) -> Formula:
    """Parse ``calculate_output``. Raises FormulaError with the word it stopped at."""
    if len(text) > MAX_CHARS:
        raise FormulaError(f"the formula is longer than {MAX_CHARS:,} characters")
    parser = _Parser(_tokens(text))
    run = parser.sum(0)
    if parser.token:
        raise FormulaError(f"did not expect {parser.token!r}")
    return Formula(text, frozenset(parser.names), run)


def replaced(text: str, expressions: Mapping[str, str]) -> str:
    """``text`` with an expression in the place of each name that ``expressions`` has. Raises FormulaError."""
    return " ".join(f"({expressions[token]})" if token in expressions else token for token in _tokens(text))


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise FormulaError(f"did not expect {text[at:].strip()[:1]!r}")
        found.append(match[0].strip())
        at = match.end()
    return found


class _Parser:
    """Recursive descent; every rule returns a closure over the values. ``depth`` bounds the recursion."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self.names: set[str] = set()

    @property
    def token(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self.token
        self._at += 1
        return token

    def _expect(self, wanted: str) -> None:
        if self.token != wanted:
            raise FormulaError(f"expected {wanted!r} but found {self.token or 'the end'!r}")
        self._at += 1

    def sum(self, depth: int) -> Evaluate:
        return self._chain("+-", self._product, depth)

    def _product(self, depth: int) -> Evaluate:
        return self._chain("*/", self._sign, depth)

    def _chain(self, operators: str, operand: Callable[[int], Evaluate], depth: int) -> Evaluate:
        if depth > MAX_DEPTH:
            raise FormulaError("the formula is nested too deeply")
        first = operand(depth)
        rest: list[tuple[Callable[[float, float], float], Evaluate]] = []
        while self.token and self.token in operators:
            apply = _OPERATORS[self._take()]
            rest.append((apply, operand(depth)))
        if not rest:
            return first

        def run(values: Mapping[str, float]) -> float:
            result = first(values)
            for apply, term in rest:
                result = apply(result, term(values))
            return result

        return run

    def _sign(self, depth: int) -> Evaluate:
        negative = False
        while self.token in ("+", "-"):
            negative ^= self._take() == "-"
        inner = self._power(depth)
        return (lambda values: -inner(values)) if negative else inner

    def _power(self, depth: int) -> Evaluate:
        base = self._atom(depth)
        if self.token != "^":
            return base
        self._take()
        if depth > MAX_DEPTH:
            raise FormulaError("the formula is nested too deeply")
        exponent = self._sign(depth + 1)
        power = _OPERATORS["^"]
        return lambda values: power(base(values), exponent(values))

    def _atom(self, depth: int) -> Evaluate:
        token = self._take()
        if token == "(":
            inner = self.sum(depth + 1)
            self._expect(")")
            return inner
        if token[:1].isdigit() or token[:1] == ".":
            number = float(token)
            return lambda _values: number
        if not token or token in "+-*/^(),":
            raise FormulaError(f"expected a number or a grader but found {token or 'the end'!r}")
        if self.token == "(":
            return self._call(token, depth)
        self.names.add(token)
        return lambda values: values[token]

    def _call(self, name: str, depth: int) -> Evaluate:
        if name not in FUNCTIONS:
            raise FormulaError(f"{name!r} is not a function, use one of {', '.join(FUNCTIONS)}")
        function, least, most = FUNCTIONS[name]
        self._expect("(")
        arguments = [self.sum(depth + 1)]
        while self.token == ",":
            self._take()
            arguments.append(self.sum(depth + 1))
        self._expect(")")
        if len(arguments) < least or (most is not None and len(arguments) > most):
            raise FormulaError(f"{name} takes {least} value, not {len(arguments)}")
        return lambda values: function(*[argument(values) for argument in arguments])
