"""Looking for topics inside a topic, or among the records that fit none."""

from __future__ import annotations

from typing import Any

from datasets_app.core.records import loads
from datasets_app.core.topics import UNKNOWN, readable
from datasets_app.core.topics_auto import Proposal, propose_topics
from datasets_app.helper import helper_of
from datasets_app.jobs.categorizing import embeddings
from datasets_app.models import VALID, Dataset, TopicProposal
from rft_project.jobs.context import JobContext
from rft_project.platforms.types import last_user_text
from rft_project.web.text import plural

MOST = 20_000  # records that are looked at; the rest is sorted into what is found among them
MOST_PARTS = 8


def run_split_topic(ctx: JobContext) -> dict[str, Any]:
    """Propose topics for the records of the topic ``inside``; nothing is changed until somebody takes them."""
    dataset = Dataset.objects.get(pk=ctx.params["dataset"])
    inside, parts = ctx.params["inside"], ctx.params.get("parts")
    rows = dataset.records.filter(verdict=VALID, topic=inside).order_by("pk").values_list("pk", "raw__body")[:MOST]
    ctx.progress.begin("Reading", total=rows.count())
    keys, texts = [], []
    for pk, body in rows:
        keys.append(pk)
        texts.append(last_user_text(loads(body).messages))
    ctx.check()
    ctx.progress.begin("Looking for groups", total=0, note=f"{plural(len(texts), 'message')} compared with each other")
    helper = helper_of(dataset, ctx.log)
    found = propose_topics(
        texts,
        embeddings(dataset),
        k=parts,
        most=MOST_PARTS,
        taken=list(dataset.topics.topics),
        labeller=helper.label if helper is not None else None,
    )
    if inside != UNKNOWN and len(found) < 2:
        found = []  # a part of its own is no split
    ctx.check()
    with ctx.batch():
        dataset.topic_proposals.filter(inside=inside).delete()
        TopicProposal.objects.bulk_create(_row(dataset, inside, proposal, keys) for proposal in found)
    said = _said(inside, len(keys), len(found))
    return {"inside": inside, "records": len(keys), "proposals": len(found), "said": said}


def _row(dataset: Dataset, inside: str, proposal: Proposal, keys: list[int]) -> TopicProposal:
    members: dict[str, list[int]] = {}
    for at, confidence in proposal.members:
        members.setdefault(f"{confidence:.1f}", []).append(keys[at])
    return TopicProposal(
        dataset=dataset,
        inside=inside,
        name=proposal.label.name,
        description=proposal.label.description[:500],
        keywords=proposal.label.keywords,
        count=len(proposal.members),
        members=members,
        examples=[keys[at] for at, _ in proposal.members[:20]],
    )


def _said(inside: str, records: int, found: int) -> str:
    if found:
        return ""
    if inside == UNKNOWN:
        return f"Of the {plural(records, 'record')} that fit no topic, no group stands out that could be one."
    return f"The {plural(records, 'record')} of {readable(inside)} do not fall into groups; say how many you want."
