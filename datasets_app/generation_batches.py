"""From the answer of a call to records: what is checked, what it is compared with, what is written."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
from django.utils import timezone

from datasets_app.core.categorizing import Assignment
from datasets_app.core.generating import Quality, Strategy, self_similarity
from datasets_app.core.generating_checks import Neighbours, Rejection, judge_text
from datasets_app.core.generating_prompts import Item, Material, items_in
from datasets_app.core.judging import Judged, judged
from datasets_app.core.records import Trace, clean_text, encode_json, loads
from datasets_app.core.topics_text import essences
from datasets_app.embedding import topic_embeddings
from rft_project.jobs.outcomes import JobFailed
from rft_project.platforms.types import last_user_text

from .facts import rules_digest, topic_counts
from .models import GENERATED, VALID, GenerationCall, GenerationRun
from .seeding import Embed, Seeds, judge_of, neighbours_of
from .writing import NewRecord, insert_records

METHOD = "generated"  # how a record got its topic: it was made for it
SHOWN = 300  # characters of a rejected message that are kept
FEWEST = 5  # traces of a topic from which it is known how alike they are
MEASURED = 2000  # records of a run that are measured


_SURPLUS = Rejection("surplus", "The topic has all the records that the plan wants.")


@dataclass
class Found:
    """What an answer holds: rows to insert with their payloads, and what did not pass."""

    generated: int = 0
    rows: list[NewRecord] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def reject(self, found: Rejection, text: str = "", n: int = 1) -> None:
        self.rejected.append(rejected_entry(found.code, found.sentence, text, n))


def rejected_entry(code: str, sentence: str, text: str = "", n: int = 1) -> dict[str, Any]:
    """As ``GenerationCall.rejected`` holds it; ``n``: messages that it is about."""
    return {"code": code, "sentence": clean_text(sentence)[:300], "text": clean_text(text)[:SHOWN], "n": n}


class Desk:
    """Where the answers of a run are judged; what it needs of the dataset is read when first needed."""

    def __init__(self, run: GenerationRun) -> None:
        """Raises JobFailed where the embeddings of the settings are not installed."""
        self.run, self.dataset = run, run.dataset
        self._leaves = set(self.dataset.topics.leaves())
        try:
            self._embed: Embed = topic_embeddings()
        except LookupError as error:
            raise JobFailed(str(error), "embeddings") from None
        self.seeds = Seeds(self.dataset, self._embed, run.created_at)

    @cached_property
    def _neighbours(self) -> Neighbours:
        return neighbours_of(self.dataset)

    @cached_property
    def _judge(self) -> Any:
        return judge_of(self.dataset, self._embed)

    def has(self, topic: str) -> tuple[bool, bool]:
        """Whether the topic has records to show, and whether some of them have tools."""
        mine = self.seeds.of(topic)
        return bool(mine.seeds), bool(mine.tooled)

    def is_leaf(self, topic: str) -> bool:
        """False for a topic that was taken out of the tree meanwhile."""
        return topic in self._leaves

    def material(self, call: GenerationCall) -> Material:
        return self.seeds.material(call.topic, call.examples, call.frame)

    # --- one answer

    def judged(self, call: GenerationCall, room: int) -> Found:
        """Every message of the call's answer, checked in their order; at most ``room`` become records."""
        found, items = Found(), items_in(call.answer)
        if items is None:
            said = "The answer holds no messages in the form asked for"
            found.reject(Rejection("unreadable", f"{said}: “{call.answer[:80]}”."), call.answer, call.wanted)
            return found
        items = items[: call.wanted]
        found.generated = len(items)
        if less := call.wanted - len(items):
            found.reject(Rejection("missing", f"{call.wanted} were asked for, {len(items)} came."), n=less)
        passed: list[tuple[int, Judged]] = []
        for place, item in enumerate(items):
            outcome = self._outcome(call, place, item) if len(passed) < room else _SURPLUS
            if isinstance(outcome, Rejection):
                found.reject(outcome, item.text)
            else:
                passed.append((place, outcome))
        now = timezone.now()
        texts = [last_user_text(loads(one.body).messages) for _, one in passed]
        for (place, one), assigned in zip(passed, self._judge.assign(texts), strict=True):
            found.rows.append(self._row(call, place, one, assigned, now))
            found.bodies.append(one.body)
        return found

    def _outcome(self, call: GenerationCall, place: int, item: Item) -> Rejection | Judged:
        labels = self.seeds.labels(call.topic)
        wrong = judge_text(item.text) or self._wrong_words(call, item, labels)
        if wrong is not None:
            return wrong
        trace = self.seeds.framed(call.topic, call.strategy, call.frame, item.text, item.reference if labels else "")
        trace.metadata = {"generation": self._lineage(call)}
        one = judged(trace, self.dataset.sanitizing, "canonical")
        if one.issues:
            return Rejection(one.issues[0].code, one.issues[0].detail)
        return self._neighbours.judge(-(call.number * 1000 + place + 1), item.text, one.said) or one

    def _wrong_words(self, call: GenerationCall, item: Item, labels: list[str]) -> Rejection | None:
        if labels and item.reference not in labels:
            given = f"“{item.reference[:60]}” is not one of them" if item.reference else "none was given"
            return Rejection("unknown_reference", f"Its reference answer must be one of {len(labels)} labels; {given}.")
        if call.strategy == Strategy.TOOL_CHAIN:
            known = set(self.seeds.tools_of(call.topic, call.frame))
            if not item.tools or not known.issuperset(item.tools):
                named = ", ".join(item.tools)[:80] or "no tool"
                return Rejection("unknown_tool", f"It was made for {named}; the record has {', '.join(sorted(known))}.")
        return None

    def _lineage(self, call: GenerationCall) -> dict[str, Any]:
        """What goes with the record wherever it is exported to."""
        return {
            "run": self.run.pk,
            "topic": call.topic,
            "strategy": call.strategy,
            "examples": call.examples,
            "model": self.run.model,
        }

    def _row(self, call: GenerationCall, place: int, one: Judged, assigned: Assignment, now: datetime) -> NewRecord:
        agreed = assigned.topic == call.topic
        confidence = assigned.confidence if agreed else min(0.49, 1.0 - assigned.confidence)
        others = [name for name in (assigned.topic, *assigned.secondary_topics) if name and name != call.topic]
        return NewRecord(
            dataset_id=self.dataset.pk,
            batch_id=None,
            line=0,
            format="",
            import_key=f"{self.run.key_prefix}{call.number}:{place}",
            span_id="",
            session_id="",
            digest=one.digest,
            source=GENERATED,
            is_generated=True,
            preview=one.preview,
            verdict=VALID,
            code="",
            issues="[]",
            tokens=one.tokens,
            checked_by=rules_digest(self.dataset),
            topic=call.topic,
            confidence=round(confidence, 4),
            method=METHOD,
            needs_review=not agreed,
            secondary_topics=encode_json(others),
            created_at=now,
        )

    @staticmethod
    def insert(found: Found) -> None:
        """Inside a transaction that has the dataset's turn."""
        insert_records(found.rows, found.bodies)

    # --- the whole run

    def measured(self) -> tuple[Quality, dict[str, int]]:
        """How varied and how much on topic the run's valid records are, and the records per topic now."""
        rows = self.run.records().filter(verdict=VALID).order_by("pk").values_list("topic", "raw__body")[:MEASURED]
        texts: dict[str, list[str]] = defaultdict(list)
        for topic, body in rows.iterator(chunk_size=500):
            trace: Trace = loads(body)
            asked = trace.metadata.get("generation")
            name = asked.get("topic") if isinstance(asked, dict) else None
            texts[name if isinstance(name, str) else topic].append(last_user_text(trace.messages))
        counts = topic_counts(self.dataset)
        after = {name: counts.get(name, 0) for name in self.dataset.topics.leaves()}
        total = sum(map(len, texts.values()))
        if not total:
            return Quality(), after
        agreed = sum(
            one.topic == topic for topic, found in texts.items() for one in self._judge.assign(found) if self._leaves
        )
        own, traces = self._similarities(texts)
        quality = Quality(records=total, self_similarity=own, of_traces=traces, on_topic=round(agreed / total, 4))
        return quality, after

    def _similarities(self, texts: dict[str, list[str]]) -> tuple[float | None, float | None]:
        """Means over the topics, weighed by their records; traces as many as there are generated ones."""
        dice = np.random.default_rng(0)
        own: list[tuple[float, int]] = []
        traces: list[tuple[float, int]] = []
        for topic, found in texts.items():
            seeds = [seed.text for seed in self.seeds.of(topic).seeds.values()]
            some = [seeds[at] for at in sorted(dice.permutation(len(seeds))[: len(found)])]
            if len(some) < FEWEST:
                some = []
            for kept, compared in ((own, found[: len(some)] if len(some) > 1 else found), (traces, some)):
                value = self_similarity(self._vectors(compared))
                if value is not None:
                    kept.append((value, len(found)))
        return _mean(own), _mean(traces)

    def _vectors(self, texts: list[str]) -> Any:
        return np.asarray(self._embed(essences(texts)), np.float32) if texts else np.zeros((0, 1), np.float32)


def _mean(values: list[tuple[float, int]]) -> float | None:
    weight = sum(n for _, n in values)
    return round(sum(value * n for value, n in values) / weight, 4) if weight else None
