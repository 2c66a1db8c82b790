"""Which records stand behind generated ones: what a topic's records look like, and what new ones are compared with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import numpy as np
from django.db.models import QuerySet

from datasets_app.core.categorizing import Categorizer
from datasets_app.core.dedupe import SHARED_SAMPLE, Said
from datasets_app.core.generating import Ask, Strategy, farthest_first, window
from datasets_app.core.generating_checks import Known, Neighbours
from datasets_app.core.generating_prompts import Material, tool_names
from datasets_app.core.identity import message_text
from datasets_app.core.records import Trace, loads, user_turns
from datasets_app.core.topics import Topic
from datasets_app.core.topics_text import essences
from datasets_app.models import GENERATED, VALID, Dataset, DatasetRecord
from rft_project.platforms.embeddings import Vectors
from rft_project.platforms.types import JsonDict, Message, last_user_text

LOOKED_AT = 300  # records of a topic that examples are chosen from, spread over all of them
SPREAD = 60  # of those, in the order in which they differ
LABEL = 80  # characters of a reference answer that is a label
LABELS = 30  # different ones that are labels
TAUGHT = 200  # records per topic that teach who measures
POOL = 2000  # records that show how the dataset words things
CHUNK = 1000
SHARED = 0.2  # of the records looked at: so many begin alike where the beginning belongs to the prompt

Embed = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True)
class Seed:
    """One record that new ones may be made after."""

    pk: int
    trace: Trace

    @cached_property
    def text(self) -> str:
        return last_user_text(self.trace.messages)

    @property
    def label(self) -> str:
        """The reference answer where it is a short text, else ''."""
        found = self.trace.reference_answer
        return found if isinstance(found, str) and 0 < len(found.strip()) <= LABEL else ""


@dataclass
class TopicSeeds:
    """The seeds of one topic: ``spread`` and ``tooled`` (those with tools) in the order in which they differ."""

    seeds: dict[int, Seed] = field(default_factory=dict)
    spread: list[int] = field(default_factory=list)
    tooled: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


class Seeds:
    """The seeds of a dataset, topic by topic, looked at when first asked for.

    ``until``: when somebody last decided what may be shown; records that came later are no seeds.
    """

    def __init__(self, dataset: Dataset, embed: Embed, until: datetime) -> None:
        self._dataset, self._embed, self._until = dataset, embed, until
        self._tree = dataset.topics
        self._topics: dict[str, TopicSeeds] = {}

    def of(self, topic: str) -> TopicSeeds:
        if topic not in self._topics:
            found = _spread_over(self._traces.filter(topic=topic), LOOKED_AT)
            self._topics[topic] = _looked_at(found, self._embed)
        return self._topics[topic]

    @property
    def _traces(self) -> QuerySet[DatasetRecord]:
        return _traces(self._dataset).filter(created_at__lte=self._until)

    def about(self, topic: str) -> Topic:
        return self._tree.topics.get(topic, Topic())

    @cached_property
    def _sample(self) -> list[Seed]:
        """Records of all topics."""
        return _spread_over(self._traces, LOOKED_AT)

    @cached_property
    def _usual(self) -> Seed | None:
        """A record whose beginning most records have: the frame of topics without one."""
        begins = Counter(_beginning(seed.trace.messages[:-1]) for seed in self._sample)
        most = begins.most_common(1)[0][0] if begins else None
        return next((seed for seed in self._sample if _beginning(seed.trace.messages[:-1]) == most), None)

    @cached_property
    def _shared(self) -> set[str]:
        """Beginnings of conversations that belong to the prompt, because many records have them."""
        begins = Counter(_beginning(seed.trace.messages[:-1]) for seed in self._sample)
        return {begin for begin, n in begins.items() if n >= max(2, SHARED * len(self._sample))}

    def labels(self, topic: str) -> list[str]:
        """The reference answers that its records have, where they are labels; of a topic without records all labels."""
        mine = self.of(topic)
        return mine.labels if mine.seeds else _labels(self._sample)

    def choose(self, ask: Ask, number: int) -> tuple[list[int], int | None]:
        """What call ``number`` shows, and the record whose frame its messages take."""
        mine = self.of(ask.topic.topic)
        order = mine.tooled if ask.strategy is Strategy.TOOL_CHAIN else mine.spread
        size = 1 if ask.strategy is Strategy.VARIATION else ask.topic.examples
        shown = window(order, number, size)
        frame = shown[0] if shown else (self._usual.pk if self._usual else None)
        return ([] if ask.strategy is Strategy.DESCRIPTION else shown), frame

    def material(self, topic: str, shown: Sequence[int], frame: int | None) -> Material:
        seed = self.seed(topic, frame)
        texts = [found.text for pk in shown if (found := self.seed(topic, pk)) is not None]
        tools = seed.trace.tools if seed is not None else []
        return Material(topic, self.about(topic), texts, tools, self.labels(topic))

    def seed(self, topic: str, pk: int | None) -> Seed | None:
        """A record that was chosen, also one that is not looked at any more; None where it is gone."""
        mine = self.of(topic).seeds
        if pk is None or pk in mine:
            return mine.get(pk) if pk is not None else None
        body = self._dataset.records.filter(pk=pk).values_list("raw__body", flat=True).first()
        return Seed(pk, loads(body)) if body is not None else self._usual

    def framed(self, topic: str, strategy: str, frame: int | None, text: str, label: str) -> Trace:
        """``text`` as a whole prompt: behind the system prompt and with the tools of the record ``frame``.

        A variation keeps the conversation before it; other strategies keep earlier turns only where many records begin
        with the same ones.
        """
        seed = self.seed(topic, frame)
        given: JsonDict = {}
        before: list[Message] = []
        if seed is not None:
            before = seed.trace.messages[:-1]
            if strategy != Strategy.VARIATION and _beginning(before) not in self._shared:
                before = _instructions(before)
            given = {key: seed.trace.input[key] for key in ("tools", "tool_choice") if seed.trace.input.get(key)}
        given["messages"] = [*before, {"role": "user", "content": text}]
        return Trace(data={"input": given}, reference_answer=label or None, has_reference=bool(label))

    def tools_of(self, topic: str, frame: int | None) -> list[str]:
        seed = self.seed(topic, frame)
        return tool_names(seed.trace.tools) if seed is not None else []


def _traces(dataset: Dataset) -> QuerySet[DatasetRecord]:
    """Valid records that were not generated: what is generated from generated ones drifts away."""
    return dataset.records.filter(verdict=VALID).exclude(source=GENERATED).order_by("pk")


def _spread_over(records: QuerySet[DatasetRecord], most: int) -> list[Seed]:
    """At most ``most`` of them, from all over."""
    keys = list(records.values_list("pk", flat=True))
    chosen = keys[:: max(1, len(keys) // most)][:most]
    rows = records.filter(pk__in=chosen).values_list("pk", "raw__body")
    return [seed for pk, body in rows if (seed := Seed(pk, loads(body))).text.strip()]


def _looked_at(seeds: list[Seed], embed: Embed) -> TopicSeeds:
    if not seeds:
        return TopicSeeds()
    order = farthest_first(np.asarray(embed(essences([seed.text for seed in seeds])), np.float32), SPREAD)
    spread = [seeds[at].pk for at in order]
    tooled = [seeds[at].pk for at in order if tool_names(seeds[at].trace.tools)]
    return TopicSeeds({seed.pk: seed for seed in seeds}, spread, tooled, _labels(seeds))


def _labels(seeds: Sequence[Seed]) -> list[str]:
    """Their reference answers, most frequent first, where nearly all are labels and there are few of them."""
    found = Counter(label for seed in seeds if (label := seed.label))
    return [label for label, _ in found.most_common()] if _are_labels(found, len(seeds)) else []


def _are_labels(found: Counter[str], records: int) -> bool:
    """Few different ones, each given several times; else they are answers, which a helper must not make up."""
    few = len(found) <= min(LABELS, max(1, records // 2))
    return bool(found) and few and sum(found.values()) >= 0.9 * records


def _beginning(messages: Sequence[Message]) -> str:
    return "\n".join(map(message_text, messages))


def _instructions(messages: Sequence[Message]) -> list[Message]:
    """The messages of whoever built the assistant, up to the first one that a user or the assistant wrote."""
    found = []
    for message in messages:
        if message.get("role") not in ("system", "developer"):
            break
        found.append(message)
    return found


# --- what new ones are compared with ----------------------------------------------------------------------------------


def neighbours_of(dataset: Dataset) -> Neighbours:
    """All valid records, as what new ones must not repeat."""
    records = dataset.records.filter(verdict=VALID).order_by("pk")
    bodies = records.values_list("raw__body", flat=True)[:SHARED_SAMPLE]
    found = Neighbours(dataset.sanitizing, (user_turns(loads(body)) for body in bodies.iterator(chunk_size=CHUNK)))
    rows = records.values_list("pk", "raw__body", "source").iterator(chunk_size=CHUNK)
    for lot in _lots(rows):
        found.learn([_known(pk, loads(body), source == GENERATED) for pk, body, source in lot])
    return found


def _known(pk: int, trace: Trace, generated: bool) -> Known:
    return Known(pk, last_user_text(trace.messages), Said.of(trace), generated)


def _lots(rows: Iterator[tuple[int, str, str]]) -> Iterator[list[tuple[int, str, str]]]:
    while lot := [row for _, row in zip(range(CHUNK), rows, strict=False)]:
        yield lot


def judge_of(dataset: Dataset, embed: Embed) -> Categorizer:
    """Who says under which topic a generated message belongs: knows what people sorted and the records that the topics
    were found in, and asks no helper, which would judge its own work."""
    leaves = set(dataset.topics.leaves())
    examples: dict[str, list[str]] = defaultdict(list)
    typical = dataset.topic_examples
    for leaf, keys in typical.items():
        if leaf in leaves:
            examples[leaf] += [seed.text for seed in _spread_over(_traces(dataset).filter(pk__in=keys), TAUGHT)]
    manual = _traces(dataset).filter(method="manual", topic__in=leaves)
    for leaf in manual.order_by().values_list("topic", flat=True).distinct():
        examples[str(leaf)] += [seed.text for seed in _spread_over(manual.filter(topic=leaf), TAUGHT)]
    pool = [seed.text for seed in _spread_over(_traces(dataset), POOL)]
    return Categorizer(dataset.topics, embed, examples=examples, pool=pool)
