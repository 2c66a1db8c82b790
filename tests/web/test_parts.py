"""Template tags: what they say, in which states, and that they escape what they are given."""

from __future__ import annotations

import re

import pytest
from django.template import Context, Template
from django.utils.safestring import SafeString

from rft_project.web.parts import Check, tone_of
from rft_project.web.steps import DONE, LIVE, SHUT, Step, phases
from rft_project.web.worddiff import MOST_TURNS, Pair, turn_diff, word_diff


def draw(source: str, **context: object) -> str:
    return Template(source).render(Context(context)).strip()


@pytest.mark.parametrize(
    ("state", "tone"),
    [
        ("good", "good"),
        ("OK", "good"),
        ("NO-GO", "bad"),
        ("failed", "bad"),
        ("info", "note"),
        ("", ""),
        (None, ""),
        ("odd", ""),
    ],
)
def test_tone_of_knows_the_words_of_the_domain(state, tone):
    assert tone_of(state) == tone


def test_next_step_with_a_link():
    html = draw('{% next_step "Sort." why="6 min." url="/x/" label="Go" %}{% endnext_step %}')
    assert html == (
        '<div class="next"><div><p class="eyebrow">Next step</p><p><b>Sort.</b> '
        '<span class="why">6 min.</span></p></div>'
        '<a class="btn primary" href="/x/">Go</a></div>'
    )


def test_next_step_with_a_form_of_its_own():
    html = draw('{% next_step "Sort." %} <form method="post"></form> {% endnext_step %}')
    assert '<div class="row"> <form method="post"></form> </div></div>' in html
    assert "primary" not in html


def test_next_step_that_is_closed_says_why_and_cannot_be_pressed():
    html = draw('{% next_step "Train." url="/x/" label="Train" closed="After the dry run." %}{% endnext_step %}')
    assert '<span class="why">After the dry run.</span>' in html
    assert '<button class="btn" type="button" disabled>Train</button>' in html
    assert "/x/" not in html


def test_stats_and_stat():
    html = draw(
        '{% stats %}{% stat "Records" n "All." %}'
        '{% stat "Mean" none "No." lead="Bad." tone="bad" unit="%" %}{% endstats %}',
        n=2640,
        none=None,
    )
    assert html == (
        '<dl class="stats"><div class="stat"><dt>Records</dt><dd class="num">2,640</dd>'
        '<dd class="say">All.</dd></div>\n'
        '<div class="stat"><dt>Mean</dt><dd class="num">– <small>%</small></dd>'
        '<dd class="say"><b class="bad-t">Bad.</b> No.</dd></div>\n</dl>'
    )


def test_card_names_itself_by_its_heading():
    html = draw('{% card "Your data" "Six of seven." badge="good" tone="ok" %}<p>x</p>{% endcard %}')
    assert html == (
        '<section class="card" aria-labelledby="your-data-h"><header><h2 id="your-data-h">Your data</h2>'
        '<span class="badge good">good</span><p>Six of seven.</p></header><p>x</p></section>'
    )
    assert '<section class="card flush" id="rec" aria-labelledby="rec-h">' in draw(
        '{% card "R" id="rec" flush=True %}{% endcard %}'
    )


def test_verdict_has_a_word_and_a_shape():
    html = draw('{% verdict "no-go" "NO-GO" "Wasted money" %}<p>Why.</p>{% endverdict %}')
    assert '<section class="verdict bad" aria-label="Verdict: NO-GO">' in html
    assert 'aria-label="Blocked"><use href="#i-bad"/></svg>NO-GO</strong>' in html
    assert "<h2>Wasted money</h2><p>Why.</p>" in html


def test_checks_are_bold_only_when_they_fail():
    html = draw(
        "{% checks items %}", items=[Check("good", "Fine."), {"state": "bad", "title": "Broken.", "detail": "Do this."}]
    )
    assert "<p>Fine.</p>" in html
    assert "<p><b>Broken.</b></p><p>Do this.</p>" in html


def test_box_shows_the_platform_s_words_as_text():
    html = draw('{% box "error" "Refused." said=said url="/l/" link="Show" %}{% endbox %}', said="<b>400</b>\u202e")
    assert '<div class="box bad">' in html
    assert '<pre>&lt;b&gt;400&lt;/b&gt;<span class="ctl" title="right-to-left override">U+202E</span></pre>' in html
    assert '<a class="btn small" href="/l/">Show</a>' in html


@pytest.mark.parametrize(
    "source",
    [
        "{% next_step evil why=evil url='/x/' label=evil closed=evil %}{% endnext_step %}",
        "{% stat evil evil evil unit=evil lead=evil tone=evil %}",
        "{% card evil evil badge=evil tone=evil %}{% endcard %}",
        "{% card evil id=evil link=evil url=evil css=evil %}{% endcard %}",
        "{% verdict evil evil evil %}{% endverdict %}",
        "{% box evil evil said=evil url=evil link=evil %}{{ evil }}{% endbox %}",
        "{% empty_state evil evil %}{{ evil }}{% endempty_state %}",
        "{% badge evil evil %}{% mark evil evil %}",
        "{% talk evil 'answer' evil %}",
        "{% live evil evil when=True on=evil %}",
        "{% worddiff evil 'x' as d %}{{ d.before }}{{ d.after }}",
        "{% bar 0.5 evil %}",
    ],
)
def test_no_part_lets_markup_through(source):
    html = draw(source, evil='"><img src=x onerror=alert(1)>')
    assert "<img" not in html


def test_strip_draws_all_ten_letters_in_three_phases():
    made = phases(
        [Step("A", DONE, "94 % valid", "/d/"), Step("C", LIVE, "61 %", "/c/", here=True), Step("J", SHUT, "x", "/no/")]
    )
    assert ["".join(s.letter for s in phase.steps) for phase in made] == ["ABCD", "E", "FGHIJ"]
    html = draw("{% strip steps %}", steps=[s for phase in made for s in phase.steps])
    assert re.findall(r'class="step (\w+(?: here)?)"', html) == ["done", "shut", "live here", *["shut"] * 7]
    assert html.count("<a class=") == 2
    assert 'href="/c/" aria-current="step"' in html
    assert "/no/" not in html


@pytest.mark.parametrize("wrong", [{"letter": "K"}, {"letter": "A", "state": "running"}])
def test_a_step_that_does_not_exist_is_refused(wrong):
    with pytest.raises(ValueError, match=r"no step|not one of"):
        Step(**wrong)


def test_live_says_nothing_when_there_is_nothing_to_wait_for():
    assert draw("{% live '/r/' 7 when=False %}") == ""
    assert draw("{% live '/r/' 7 %}") == 'hx-get="/r/?seen=7" hx-trigger="every 2s" hx-swap="outerHTML"'
    assert draw("{% live '/r/?a=1' 7 when=False every=10 on='x y' %}") == (
        'hx-get="/r/?a=1&amp;seen=7" hx-trigger="x from:body, y from:body" hx-swap="outerHTML"'
    )


def test_live_version_is_not_written_with_a_comma():
    assert "seen=1204" in draw("{% live '/r/' version %}", version=1204)


def test_attr_writes_an_id_without_a_comma():
    assert draw("{{ pk }} {{ pk|attr }}", pk=12345) == "12,345 12345"


def test_for_keeps_its_own_empty():
    assert draw("{% for x in nothing %}{% empty %}none{% endfor %}", nothing=[]) == "none"


def test_word_diff_marks_runs_and_ignores_a_lone_shared_word():
    pair = word_diff("I am sorry. Send a photo now please.", "I am sorry. It needs a refund today.")
    assert pair.before == "I am sorry. <del>Send a photo now please.</del>"
    assert pair.after == "I am sorry. <ins>It needs a refund today.</ins>"


def test_word_diff_keeps_what_both_say():
    pair = word_diff("one two three four", "one two three five")
    assert (pair.before, pair.after) == ("one two three <del>four</del>", "one two three <ins>five</ins>")
    assert word_diff("same", "same").before == "same"
    assert word_diff("", "new") == word_diff("", "new")
    assert word_diff("", "new").after == "<ins>new</ins>"


def test_word_diff_escapes_both_sides():
    pair = word_diff(SafeString("<b>x</b>"), "<i>y</i>")
    assert (pair.before, pair.after) == ("<del>&lt;b&gt;x&lt;/b&gt;</del>", "<ins>&lt;i&gt;y&lt;/i&gt;</ins>")


def test_turn_diff_folds_the_turns_that_stay_but_for_their_neighbours():
    before = [f"user: {n}" for n in range(12)]
    after = [*before[:6], "user: other", *before[7:]]
    pair = turn_diff(before, after)
    assert pair.before.split("\n") == [
        "user: 0",
        '<i class="soft">4\u00a0turns unchanged</i>',
        "user: 5",
        "user: <del>6</del>",
        "user: 7",
        '<i class="soft">3\u00a0turns unchanged</i>',
        "user: 11",
    ]
    assert pair.after == pair.before.replace("<del>6</del>", "<ins>other</ins>")
    assert turn_diff(["a", "b"], ["a"]) == Pair("a\n<del>b</del>", "a")
    assert turn_diff(["<b>"], ["<b>", "<i>"]).after == "&lt;b&gt;\n<ins>&lt;i&gt;</ins>"


def test_turn_diff_of_very_long_conversations_shows_their_ends():
    pair = turn_diff(["a", *["b"] * MOST_TURNS, "c"], ["a"])
    assert pair == Pair(f'a\n<i class="soft">{MOST_TURNS}\u00a0turns not shown</i>\nc', "a")


def test_word_diff_of_very_long_answers_is_not_marked():
    assert "<del>" not in word_diff("a " * 2000, "b " * 2000).before
