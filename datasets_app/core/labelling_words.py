"""English words that say nothing about what a request is about."""

from __future__ import annotations

from typing import Final

# words of a pair such as "top up" or "money back", never a keyword alone
PARTICLES: Final = frozenset(["away", "back", "down", "in", "off", "out", "over", "through", "up"])

_COMMON = """
    a able about above actually after again ago all allow allowed already also although always am an and another
    answer any anymore anyone anything appear appeared appears are aren't around as ask asked asking at be
    because been before being below best better between both but by came can can't cannot cant cheers come could
    couldn't couple currently day days dear did didn't didnt do does doesn't doesnt doing don't done dont down
    during each earlier either else even ever every everything exactly exist exists explain explained faithfully
    few find first for from further get gets getting give given go goes going gone good got greetings guess had
    hadn't hallo happen happened happening happens has hasn't have haven't having he hello help her here here's
    hers hey hi him his hope hours how how's however hows i i'd i'll i'm i've if im in instead into is isn't
    isnt it it's its itself ive just keep keeps kept kind know last lately let let's letter like little long
    look looking lot madam made make makes making many may maybe me mean means message might mine more morning
    most mr mrs ms much must my myself need needed needs never new next no nobody not nothing noticed now of off
    often ok okay on once one only or other our out over own per please possible problem put question quickly
    rather really reason recently regards reply right ring said same say saying says see seem seems several
    shall she should show showing shows since sincerely sir so some somebody someone something soon sorry still
    such sure take takes team tell than thank thanks that that's the their them then there there's these they
    thing things think this those though thought through time to today told tomorrow tonight too tried truly try
    trying two under understand until up upon us use used using various very waiting want wanted wants warm was
    wasn't way ways we week weeks well went were weren't what what's whats when where where's whether which
    while who why why's will wishes with within without won won't wondering wont work works would wouldn't write
    writing wrote yes yesterday yet you you're your yours
"""
STOP_WORDS: Final = frozenset(_COMMON.split())
