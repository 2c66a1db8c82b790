"""Costs in words."""

from __future__ import annotations

from rft_project.money.ranges import Range
from rft_project.web.text import dollars, tokens


def spoken_cost(cost: Range) -> str:
    """ "0.80 to 2.10 USD", "nothing", or how much of what nobody knows the price of."""
    if cost.free:
        return "nothing"
    if cost.usd is not None:
        low, high = cost.usd
        return dollars(high) if round(low, 2) == round(high, 2) else f"{low:,.2f} to {dollars(high)}"
    if cost.tokens[1]:
        low_tokens, high_tokens = cost.tokens
        return f"{tokens(low_tokens)} to {tokens(high_tokens)} tokens, whose price is not known"
    return f"{cost.hours[0]:,.1f} to {cost.hours[1]:,.1f} hours, whose price is not known"
