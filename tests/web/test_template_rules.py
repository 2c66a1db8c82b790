"""Rules of all templates: nothing inline, nothing unescaped, quoted attributes, small partials."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.template import TemplateSyntaxError
from django.template.loader import get_template

TEMPLATES = settings.BASE_DIR / "templates"
FILES = sorted(TEMPLATES.rglob("*.html"))
LONGEST_PARTIAL = 60
TAG = re.compile(r"<[a-zA-Z][^<>]*>")
RULES = {
    "style attribute": re.compile(r"\sstyle\s*="),
    "style element": re.compile(r"<style\b"),
    "script without src": re.compile(r"<script\b(?![^>]*\ssrc=)"),
    "event attribute": re.compile(r"\s(on\w+|hx-on[\w:-]*)\s*="),
    "javascript: address": re.compile(r"javascript:", re.I),
    "unescaped output": re.compile(r"\|\s*safe\b|\|\s*safeseq\b|autoescape\s+off|mark_safe"),
    "variable in hx-vals or hx-vars": re.compile(r"hx-(vals|vars)\s*=\s*(\"[^\"]*|'[^']*)\{\{"),
}
UNQUOTED = re.compile(r"\s[\w:-]+=(?![\"'])[^\s>]+")


def offences(source: str) -> list[str]:
    found = [name for name, rule in RULES.items() if rule.search(source)]
    html = re.sub(r"\{%.*?%\}|\{#.*?#\}", " ", source, flags=re.S)
    html = re.sub(r"\{\{.*?\}\}", "VARIABLE", html, flags=re.S)
    if any(UNQUOTED.search(re.sub(r"\"[^\"]*\"|'[^']*'", '""', tag)) for tag in TAG.findall(html)):
        found.append("unquoted attribute")
    return found


@pytest.mark.parametrize(
    ("source", "offence"),
    [
        ('<p style="color: red">', "style attribute"),
        ("<style>p {}</style>", "style element"),
        ("<script>x()</script>", "script without src"),
        ('<a onclick="x()">', "event attribute"),
        ('<a hx-on:click="x()">', "event attribute"),
        ('<a href="javascript:x()">', "javascript: address"),
        ("{{ x|safe }}", "unescaped output"),
        ("{% autoescape off %}", "unescaped output"),
        ('<a hx-vals="{{ x }}">', "variable in hx-vals or hx-vars"),
        ("<a title={{ x }}>", "unquoted attribute"),
        ('<a class="a" data-x=y>', "unquoted attribute"),
    ],
)
def test_the_rules_find_what_they_forbid(source, offence):
    assert offences(source) == [offence]


@pytest.mark.parametrize(
    "source",
    [
        '<a href="{% url \'x\' a=b %}" class="a{% if x == 1 %} b{% endif %}">one</a>',
        '<script src="/x.js" defer></script>',
        '<body hx-headers=\'{"a": "{{ b }}"}\'>',
        "{% card a b=c %}{% endcard %} 1 < 2, a=b",
    ],
)
def test_the_rules_leave_good_markup_alone(source):
    assert offences(source) == []


def test_there_are_templates_to_look_at():
    assert len(FILES) > 20


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(TEMPLATES)))
def test_template(path: Path):
    source = path.read_text(encoding="utf-8")
    assert offences(source) == []
    if path.name.startswith("_") or path.parent.name in ("ui", "forms"):
        assert len(source.splitlines()) <= LONGEST_PARTIAL
    try:
        get_template(str(path.relative_to(TEMPLATES)))
    except TemplateSyntaxError as error:
        pytest.fail(f"{path.name}: {error}")


def test_python_marks_nothing_safe_by_hand():
    apps = ("rft_project", "datasets_app", "graders_app", "wizard_app")
    found = [
        str(path.relative_to(settings.BASE_DIR))
        for app in apps
        for path in (settings.BASE_DIR / app).rglob("*.py")
        if re.search(r"\bmark_safe\b", path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_stylesheet_and_the_script_stay_small():
    static = settings.BASE_DIR / "static"
    assert (static / "css/app.css").stat().st_size < 40 * 1024
    assert len((static / "js/app.js").read_text(encoding="utf-8").splitlines()) < 150


def test_the_stylesheet_asks_nobody_for_anything():
    css = (settings.BASE_DIR / "static/css/app.css").read_text(encoding="utf-8")
    assert re.findall(r"url\(|@import|@font-face", css) == []
    assert css.count("{") == css.count("}")
