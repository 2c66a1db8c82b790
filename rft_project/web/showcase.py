"""What the components page shows: every part in every state, with invented figures that agree with each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone

from rft_project.jobs.models import Job, State
from rft_project.web import charts
from rft_project.web.forms import StudioForm
from rft_project.web.parts import Check
from rft_project.web.steps import DONE, LIVE, OPEN, SHUT, STALE, Step
from rft_project.web.text import number, percent

SWATCHES = (
    ("page", "behind everything"),
    ("panel", "cards, bars"),
    ("sunk", "tracks, hover"),
    ("line", "hairlines"),
    ("edge", "control borders"),
    ("soft", "second text"),
    ("ink", "text"),
    ("accent", "links, primary, data"),
    ("good", "good"),
    ("warn", "look here"),
    ("bad", "blocked"),
    ("note", "neutral fact"),
)
TOPICS = (
    ("order_status", 620),
    ("returns_and_refunds", 521),
    ("billing_disputes", 402),
    ("product_questions", 355),
    ("account_access", 344),
    ("delivery_damage", 131),
    ("subscription_changes", 58),
)
CONVERSATION = [
    {
        "role": "system",
        "content": "You answer customers of an online shop. Check the order before you promise anything.",
    },
    {"role": "user", "content": [{"type": "text", "text": "Where is order 88-1042?"}, {"type": "image_url"}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"function": {"name": "find_order", "arguments": '{"order": "88-1042", "with_events": true}'}}],
    },
    {"role": "tool", "content": '{"state": "shipped", "carrier": "post"}'},
    {"role": "assistant", "content": "It was shipped <b>today</b>.\nThis mark turns text around: \u202etxt.exe"},
]


class Sample(StudioForm):
    share = forms.CharField(label="Training share", help_text="The rest checks the model. 90 % is a good start.")
    budget = forms.DecimalField(label="Most to spend, in USD", min_value=84)
    model = forms.ChoiceField(label="Base model", choices=[("a", "SmolLM2 135M"), ("b", "Classifier")])
    order = forms.ChoiceField(
        label="Order", choices=[("r", "By chance"), ("t", "By time")], widget=forms.RadioSelect, required=False
    )
    topics = forms.BooleanField(label="Keep topics in proportion", required=False)

    def clean_budget(self) -> None:
        raise forms.ValidationError("The plan costs at least 84 USD. Enter 84 or more, or choose fewer epochs.")


def _steps() -> list[Step]:
    states = (DONE, DONE, LIVE, STALE, OPEN, DONE, STALE, OPEN, SHUT, SHUT)
    facts = ("94.6 % valid", "7 topics", "61 % re-checked", "needs a look", "open", "done", "out of date", "open")
    return [
        Step(letter, state, fact, "/style/", here=letter == "E")
        for letter, state, fact in zip("ABCDEFGHIJ", states, (*facts, "closed", "closed"), strict=True)
    ]


def _coverage() -> charts.BarChart:
    total, target = 2498, 100 / 7
    rows, table = [], []
    for name, count in TOPICS:
        share = count / total * 100
        off = share - target
        under = off < -2
        note = "on target" if abs(off) <= 2 else f"{abs(off):.1f} points {'under' if under else 'over'} target"
        rows.append(charts.BarRow(name, share, target, number(count), percent(count / total), note, short=under))
        state = charts.Cell("under", "warn") if under else charts.Cell("ok", "good")
        table.append((name, number(count), percent(count / total), percent(target / 100), state))
    rows.append(
        charts.BarRow("unknown", 67 / total * 100, None, "67", percent(67 / total), "no topic fits", hatched=True)
    )
    finding = "Share of valid records per topic against a target of 14.3 % each. Two topics are under."
    heads = ("Topic", "Records", "Share", "Target", "Status")
    return charts.bar_rows(
        rows, finding=finding, target_label="target, 14.3 % each", top=30, table=charts.Table.of(finding, heads, table)
    )


def _spark(points: Sequence[tuple[float, float]], base: float) -> charts.Sparkline:
    finding = f"From {points[0][1]:.2f} to {points[-1][1]:.2f}."
    return charts.sparkline(points, finding=finding, base=base, low=0.3, high=0.7)


def _curves() -> dict[str, Any]:
    validation = [
        (0, 0.45),
        (24, 0.476),
        (48, 0.507),
        (72, 0.531),
        (96, 0.549),
        (120, 0.566),
        (144, 0.574),
        (168, 0.58),
    ]
    wobble = (0.0, 0.02, -0.01, 0.015, -0.02, 0.01, 0.03, -0.015)
    training = [(x, 0.447 + 0.165 * (x / 168) ** 0.6 + wobble[x // 3 % 8]) for x in range(0, 169, 3)]
    finding = "Validation rose from 0.45 to 0.58 in 168 steps and is flattening; training is at 0.61."
    part = [(x, y - 0.03) for x, y in validation]
    return {
        "running": charts.reward_curve(validation, training, finding=finding, baseline=0.45, total=240),
        "ended": charts.reward_curve(validation, training, finding=finding, baseline=0.45, total=168),
        "no_points": charts.reward_curve([], finding="Nothing was measured yet.", baseline=0.45, total=240),
        "sparks": [
            ("policy_correct", "weight 0.50", "0.42 → 0.55", "rising", "good", _spark(part, 0.42)),
            (
                "tone",
                "weight 0.20",
                "0.63 → 0.63",
                "flat",
                "note",
                _spark([(x, 0.625 + y / 60) for x, y in part], 0.632),
            ),
        ],
    }


def _numbers() -> dict[str, Any]:
    rows = [
        charts.PairRow("All topics", 302, 0.45, 0.62, 0.13, 0.21, total=True),
        charts.PairRow("returns_and_refunds", 65, 0.41, 0.63, 0.15, 0.29),
        charts.PairRow("order_status", 78, 0.52, 0.70, 0.12, 0.24),
        charts.PairRow("delivery_damage", 19, 0.36, 0.40, -0.09, 0.17),
        charts.PairRow("product_questions", 45, 0.60, 0.49, -0.18, -0.04),
    ]
    buckets = [
        charts.BucketRow("order_status", 20, 38, 4, 0.57),
        charts.BucketRow("returns_and_refunds", 14, 32, 6, 0.48),
        charts.BucketRow("subscription_changes", 0, 9, 29, 0.11, "hardly learns"),
    ]
    counts = [168, 104, 112, 128, 142, 138, 126, 112, 92, 78]
    return {
        "coverage": _coverage(),
        "histogram": charts.histogram(
            counts, finding="1,200 scores, mean 0.46, spread over the whole range.", mean=0.46
        ),
        "buckets": charts.buckets(34, 79, 39, buckets),
        "wins": charts.stacked(
            [charts.Part("better", 171), charts.Part("same", 88, "mute"), charts.Part("worse", 43, "hatch")],
            finding="Your model is better on 171 prompts, the same on 88, worse on 43 of 302.",
        ),
        "pairs": charts.before_after(rows, finding="Mean score before and after, overall and by topic."),
    }


def _jobs() -> list[tuple[str, Job]]:
    now = timezone.now()
    began = now - timedelta(minutes=3)
    base: dict[str, Any] = {"kind": "import", "total": 120_000, "unit": "lines", "started_at": began}
    waiting = {"done": 3, "total": 12, "unit": "prompts", "note": "The platform asks to wait"}
    mistake = "Line 212 has no messages. Correct the file and import it again."
    made: tuple[tuple[str, dict[str, Any]], ...] = (
        ("queued", {"state": State.QUEUED, "total": 0}),
        ("running", {"state": State.RUNNING, "done": 48_210, "per_second": 9400.0}),
        ("running, length unknown", {"state": State.RUNNING, "total": 0, "phase": "Reading the file"}),
        ("waiting", {"state": State.WAITING, "run_after": now + timedelta(seconds=40), **waiting}),
        ("stopping", {"state": State.RUNNING, "done": 48_210, "cancel_requested": True}),
        ("done", {"state": State.SUCCEEDED, "done": 120_000, "finished_at": now}),
        ("stopped", {"state": State.CANCELLED, "done": 48_210, "finished_at": now}),
        ("failed", {"state": State.FAILED, "done": 211, "finished_at": now, "error_message": mistake}),
    )
    return [(name, Job(pk=index, **{**base, **values})) for index, (name, values) in enumerate(made, 1)]


def everything() -> dict[str, Any]:
    form = Sample({"share": "90 %", "budget": "84", "model": "a", "order": "r", "topics": "on"})
    form.is_valid()
    return {
        "steps": _steps(),
        "swatches": [(name, f"var(--{name})", words) for name, words in SWATCHES],
        "checks": [
            Check("bad", "Balance is 0.09, and 0.50 is needed.", "The smallest topic has 58 records, the largest 620."),
            Check(
                "warn",
                "subscription_changes has 58 records.",
                "Under 100 its score is uncertain.",
                "/style/",
                "Merge it",
            ),
            Check("note", "This model retires on 30 June 2027."),
            Check("good", "Largest topic holds 24.8 %, at most 40 %."),
        ],
        "form": form,
        "conversation": CONVERSATION,
        "before": "I am sorry to hear that. Please send us a photo of the damage so that we can check your claim.",
        "after": "I am sorry to hear that. The driver's note confirms the damage, so no photo is needed.",
        "jobs": _jobs(),
        **_numbers(),
        **_curves(),
    }
