"""Parts of pages. They are builtins: no ``{% load %}``. `/style/` shows each in every state.

A page::

    {% extends "base.html" %}
    {% block title %}{{ dataset.name }}{% endblock %}
    {% block crumbs %}<li><a href="…">Datasets</a></li><li>{{ dataset.name }}</li>{% endblock %}
    {% block content %}
    <header class="head"><h1>{{ dataset.name }}</h1><p class="lede">One sentence with <b>the</b> fact.</p>
    {% verdict "warn" "WARN" "Training should help, except in one topic" %}<p>Why.</p>{% endverdict %}
    {% next_step "Sort the records into topics." why="About 6 minutes." url=u label="Categorize" %}{% endnext_step %}
    </header>
    {% stats %}{% stat "Records" 2640 "2,480 from traces." %}{% stat "Valid" "94.6" "…" unit="%" %}{% endstats %}
    <div class="cols main-side even">
      {% card "Coverage by topic" "Two topics get too little." link="Set targets" url=u %}{% chart c %}{% endcard %}
      {% card "Ready for RFT?" badge="Not yet" tone="bad" %}{% checks ready %}{% endcard %}
    </div>
    {% endblock %}

Context of every page: ``steps`` (a list of ``web.steps.Step``) draws the A-J strip under the top bar.

Tags, [optional arguments]; ``tone`` is good, warn, bad, note or "", or an alias such as ok, failed, info:

next_step title [why url label eyebrow closed] … endnext_step
    The one primary action. ``url`` and ``label`` make a link; a POST is content of your own:
    ``<form method="post" action="…">{% csrf_token %}<button class="btn primary">Start</button></form>``.
    ``closed``: why it cannot be done now, shown beside a closed button.
stats … endstats, and inside: stat label value [say unit lead tone]
    One ruled band of three to five tiles; ``lead`` is the coloured start of the sentence ``say``.
card title [lede id link url badge tone flush css] … endcard;  flush: tables and lists reach the edge
verdict tone word title … endverdict
box tone [strong said url link] … endbox;  said: the platform's own words
empty_state title [text] … endempty_state;  (``empty`` itself belongs to ``for``)
badge word [tone];  mark tone [label];  strip steps
checks list;  of ``web.parts.Check`` or dicts with state, title, detail, url, link
conversation messages;  talk text [role label]
    Turns with the role in the margin; tool calls and hidden characters are shown, nothing is HTML.
job_progress job [stop_url keeps retry_url target]
    Counts of the total, rate, time left, Stop (a POST to ``stop_url``), what Stop keeps, the error when it failed.
    ``target="#summary"`` makes Stop an htmx request that swaps this region; without it the form is posted as usual.
live url version [when every on];  attributes for a region's root
    ``<section id="coverage" class="region" {% live url job.version when=job.is_live on="dataset-changed" %}>`` asks
    every 2 s while ``when``, and again when the event ``on`` comes.
chart obj;  an object of ``web.charts``
bar share [tone];  thin bar of 0 to 1 for a table cell
worddiff before after as d;  then {{ d.before }} and {{ d.after }} with the words of one side marked
options choices [chosen];  of a select: pairs of value and label
link_if "app:name" args;  URL, or "" where the name is not known

Filters: number percent score change duration ago usd tokens size visible spaced json tone plural:"record" at:key attr.
Numbers in templates get thousands commas by themselves (1,204). In attributes they must not: ``{{ pk|attr }}``.

Classes to use directly: cols main-side|halves even; stack [tight]; row [apart]; btn primary|danger|plain|small;
table fold inner (td.n right-aligned with data-l, td.grow > .clamp for long text); ul.list with b.letter and .end
(actions A-E); tabs, filters, pager, facts-list, sample, pair, side, score, stepper, stepnav, quote, code, copy, drop,
region (root of a live region), narrow, soft, small, sr.

Hooks of app.js: ``form[data-confirm="Question?"]``, ``button[data-copy="element-id"]``, ``form[data-drop]`` (zone for
files), ``[data-mirror="element-id"]`` (two controls for one value), and the drawer: ``<a class="rowlink" href="…"
data-drawer hx-get="…" hx-target="#drawer">``; the answer is
``<header><h2>…</h2><button class="btn small" type="button" data-close>Close</button></header><div>…</div>``.
A region may send a floating sentence: ``region(…, toast="12 records moved.")``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import template
from django.template.context import Context
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import slugify

from rft_project.jobs.models import Job
from rft_project.web import conversation as talks
from rft_project.web import text
from rft_project.web.charts import Cell
from rft_project.web.charts.bars import Bar
from rft_project.web.parts import SPOKEN, tone_of
from rft_project.web.progress import work_of
from rft_project.web.steps import Step, phases
from rft_project.web.worddiff import Pair, word_diff

register = template.Library()

SELECTED = SafeString(" selected")

register.filter("number", text.number)
register.filter("percent", text.percent)
register.filter("score", text.score)
register.filter("change", text.change)
register.filter("duration", text.duration)
register.filter("ago", text.ago)
register.filter("usd", text.usd)
register.filter("dollars", text.dollars)
register.filter("tokens", text.tokens)
register.filter("visible", text.visible)
register.filter("attr", text.attr)
register.filter("size", text.size)
register.filter("spaced", text.spaced)


@register.filter
def plural(count: int, words: str) -> str:
    """``{{ n|plural:"record" }}`` or ``{{ n|plural:"reply,replies" }}``: "1 record", "2,640 records"."""
    one, _, many = words.partition(",")
    return text.plural(count, one, many)


@register.filter("json")
def as_json(value: Any) -> str:
    """A value as indented JSON text (escaped on output like any text)."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def _draw(name: str, **context: Any) -> SafeString:
    return render_to_string(f"ui/{name}.html", context)


def _some(content: str) -> str:
    """The content of a block tag, or "" when it is only white space (stripping would take the safe mark off)."""
    return content if content.strip() else ""


# ---------------------------------------------------------------- blocks with content


@register.simple_block_tag(takes_context=True)
def next_step(
    context: Context,
    content: str,
    title: str,
    why: str = "",
    url: str = "",
    label: str = "",
    eyebrow: str = "Next step",
    closed: str = "",
) -> SafeString:
    return _draw(
        "next_step", content=_some(content), title=title, why=why, url=url, label=label, eyebrow=eyebrow, closed=closed
    )


@register.simple_block_tag
def stats(content: str) -> SafeString:
    return format_html('<dl class="stats">{}</dl>', content)


@register.simple_block_tag
def card(
    content: str,
    title: str,
    lede: str = "",
    id: str = "",
    link: str = "",
    url: str = "",
    badge: str = "",
    tone: str = "",
    flush: bool = False,
    css: str = "",
) -> SafeString:
    return _draw(
        "card",
        content=content,
        title=title,
        lede=lede,
        id=id,
        heading=f"{id or slugify(title)}-h",
        link=link,
        url=url,
        badge=badge,
        tone=tone_of(tone),
        css=f"{'flush' if flush else ''} {css}".strip(),
    )


@register.simple_block_tag
def verdict(content: str, tone: str, word: str, title: str) -> SafeString:
    return _draw("verdict", content=content, tone=tone_of(tone), word=word, title=title)


@register.simple_block_tag
def box(content: str, tone: str = "", strong: str = "", said: str = "", url: str = "", link: str = "") -> SafeString:
    return _draw("box", content=_some(content), tone=tone_of(tone), strong=strong, said=said, url=url, link=link)


@register.simple_block_tag
def empty_state(content: str, title: str, text: str = "") -> SafeString:
    return _draw("empty", content=_some(content), title=title, text=text)


# ---------------------------------------------------------------- parts without content


@register.inclusion_tag("ui/stat.html")
def stat(label: str, value: Any, say: str = "", unit: str = "", lead: str = "", tone: str = "") -> dict[str, Any]:
    if value is None:
        value = text.NONE
    return {"label": label, "value": value, "say": say, "unit": unit, "lead": lead, "tone": tone_of(tone)}


@register.simple_tag
def badge(word: object, tone: str = "") -> SafeString:
    return format_html('<span class="{}">{}</span>', f"badge {tone_of(tone)}".strip(), word)


@register.simple_tag
def mark(tone: str, label: str = "") -> SafeString:
    """A state's mark: its own shape and a spoken name; a neutral state has the note's shape without its colour."""
    name = tone_of(tone)
    return format_html(
        '<svg class="{}" role="img" aria-label="{}"><use href="#i-{}"/></svg>',
        f"mark {name}".strip(),
        label or SPOKEN.get(name, "Note"),
        name or "note",
    )


@register.inclusion_tag("ui/checks.html")
def checks(items: Sequence[Any]) -> dict[str, Any]:
    return {"checks": items}


@register.filter
def tone(state: object) -> str:
    """The tone of a state's name, for ``class="badge {{ state|tone }}"``."""
    return tone_of(state)


@register.inclusion_tag("ui/conversation.html")
def conversation(messages: Any) -> dict[str, Any]:
    return talks.folded(talks.turns(messages))


@register.inclusion_tag("ui/conversation.html")
def talk(content: Any, role: str = "answer", label: str = "") -> dict[str, Any]:
    """One turn of a text: ``role`` prompt, answer, reference, user, assistant, system…"""
    return {"turns": [talks.turn({"role": role, "content": content}, label)]}


@register.inclusion_tag("jobs/_job.html", takes_context=True)
def job_progress(
    context: Context,
    job: Job | None,
    stop_url: str = "",
    keeps: str = "",
    retry_url: str = "",
    target: str = "",
    pause_url: str = "",
) -> dict[str, Any]:
    """``keeps``: what stays when it is stopped ("Stop keeps the records done so far."); nothing for ``job`` None."""
    return {
        "work": work_of(job) if job else None,
        "job": job,
        "stop_url": stop_url,
        "pause_url": pause_url,
        "keeps": keeps,
        "retry_url": retry_url,
        "target": target,
        "csrf_token": context.get("csrf_token"),
        "user": context.get("user"),
    }


@register.simple_tag
def live(url: str, version: object = None, when: object = True, every: int = 2, on: str = "") -> SafeString:
    """htmx attributes of a region's root; nothing at all when there is nothing to wait for."""
    triggers = [f"every {every}s"] if when else []
    triggers += [f"{event} from:body" for event in on.split()]
    if not triggers:
        return SafeString("")
    where = url if version is None else f"{url}{'&' if '?' in url else '?'}seen={version}"
    return format_html('hx-get="{}" hx-trigger="{}" hx-swap="outerHTML"', where, ", ".join(triggers))


@register.simple_tag(takes_context=True)
def chart(context: Context, obj: Any) -> str:
    """Draw an object of ``web.charts``; numbers in it are never localised, because SVG knows no thousands comma."""
    if obj is None:
        return ""
    engine = context.template.engine  # type: ignore[union-attr]
    return engine.get_template(obj.template).render(Context({"chart": obj}, use_l10n=False))


@register.simple_tag
def bar_lines(bars: Sequence[Bar]) -> SafeString:
    """The rows of ``ui/chart_bars.html``, drawn in one piece like those of a table."""
    return SafeString("\n".join(map(_bar_line, bars)))


def _bar_line(bar: Bar) -> str:
    name, figure, more, note = map(text.escaped, (bar.label, bar.text, bar.more, bar.note))
    drawn = [
        f'<text class="strong" y="{bar.text_y}">{name}</text><text class="end" x="100%" y="{bar.text_y}">'
        f'<tspan class="strong">{figure}</tspan>{f" · {more}" if more else ""}'
        f'{f"""<tspan class="wide"> · {note}</tspan>""" if note else ""}</text>'
        f'<rect class="f-track" y="{bar.bar_y}" width="100%" height="12" rx="2"/>',
        f'<rect fill="url(#hatch)" y="{bar.bar_y}" width="{bar.width}%" height="12"/>'
        if bar.hatched
        else f'<rect class="f-acc" y="{bar.bar_y}" width="{bar.width}%" height="12" rx="2"/>',
    ]
    if bar.gap:
        drawn.append(f'<rect fill="url(#gap)" x="{bar.width}%" y="{bar.bar_y}" width="{bar.gap}%" height="12"/>')
    if bar.target is not None:
        for css, top, bottom in (
            ("rule-halo", bar.bar_y, bar.bar_bottom),
            ("target", bar.tick_top, bar.tick_bottom),
        ):
            drawn.append(f'<line class="{css}" x1="{bar.target}%" x2="{bar.target}%" y1="{top}" y2="{bottom}"/>')
    return "".join(drawn)


@register.simple_tag
def table_rows(rows: Sequence[Sequence[Cell]]) -> SafeString:
    """The body of ``ui/_table.html``. A loop in the template takes twice as long, and there may be many rows."""
    return text.joined('<tr role="row"><th scope="row" role="rowheader">{}</th>{}</tr>', map(_row, rows))


def _row(row: Sequence[Cell]) -> tuple[str, SafeString]:
    head, *others = row
    cells = (
        (
            SafeString(' class="n"') if cell.numeric else "",
            cell.label,
            badge(cell.text, cell.badge) if cell.badge else cell.text,
        )
        for cell in others
    )
    return head.text, text.joined('<td role="cell"{} data-l="{}">{}</td>', cells, "")


@register.simple_tag
def options(choices: Iterable[tuple[str, str]], chosen: str = "") -> SafeString:
    """The options of a select, in one piece: there may be a thousand topics."""
    rows = ((value, SELECTED if value == chosen else "", label) for value, label in choices)
    return text.joined('<option value="{}"{}>{}</option>', rows, "")


@register.simple_tag
def bar(share: float | None, tone: str = "") -> SafeString:
    """A bar of 8 px for a value from 0 to 1; say the number beside it."""
    width = f"{min(1.0, max(0.0, share or 0)) * 100:.2f}%"
    return format_html(
        '<svg class="plot" width="100%" height="8" aria-hidden="true">'
        '<rect class="f-track" width="100%" height="8" rx="2"/><rect class="{}" width="{}" height="8" rx="2"/></svg>',
        {"mute": "f-mute", "bad": "f-bad"}.get(tone, "f-acc"),
        width,
    )


@register.inclusion_tag("ui/strip.html")
def strip(steps: Sequence[Step]) -> dict[str, Any]:
    return {"phases": phases(steps)}


@register.simple_tag
def worddiff(before: str, after: str) -> Pair:
    return word_diff(before, after)


@register.simple_tag
def link_if(name: str, *args: Any) -> str:
    """URL of a named page, or "" where this installation has none."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


@register.filter
def at(mapping: Mapping[Any, Any], key: Any) -> Any:
    """``{{ counts|at:topic.pk }}``: a value by a key that is itself a variable; "" when it is not there."""
    return mapping.get(key, "")
