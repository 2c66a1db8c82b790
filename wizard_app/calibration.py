"""Rating answers blind, to see whether the run's grader agrees with people before anybody trains on it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from django.db import transaction

from graders_app.core.agreement import STEPS, WANTED, Agreement, choose_for_rating, measure_agreement

from . import flow
from .models import Rating, RFTJob, Rollout
from .sampling import grader_digest
from .services import Refused


@dataclass(frozen=True)
class Queue:
    """The answers to rate in their order, and how ``person`` rated those that are done."""

    rollouts: list[Rollout]
    mine: dict[int, int]

    @property
    def done(self) -> int:
        return sum(rollout.pk in self.mine for rollout in self.rollouts)

    @property
    def total(self) -> int:
        return len(self.rollouts)

    def next(self) -> Rollout | None:
        return next((rollout for rollout in self.rollouts if rollout.pk not in self.mine), None)

    def last_rated(self) -> Rollout | None:
        """The one to go back to."""
        return next((rollout for rollout in reversed(self.rollouts) if rollout.pk in self.mine), None)


def queue_for(run: RFTJob, person: Any) -> Queue:
    """About thirty answers of the dry run, spread over scores and topics; the same for everybody who rates."""
    rollouts = scored_answers(run)
    topics = dict(run.snapshot.items.values_list("pk", "topic")) if run.snapshot is not None else {}
    chosen = choose_for_rating(
        [rollout.reward or 0.0 for rollout in rollouts],
        [topics.get(rollout.item_id, "") for rollout in rollouts],
        count=WANTED,
        seed=run.seed,
    )
    queue = [rollouts[at] for at in chosen]
    mine = Rating.objects.filter(rollout__in=queue, by=person).values_list("rollout", "step")
    return Queue(queue, dict(mine))


def rate(run: RFTJob, rollout_pk: int, step: int, *, by: Any) -> None:
    """Keep a rating of 0 to 4; a second one of the same person takes the place of the first. Raises Refused."""
    rollout = Rollout.objects.filter(run=run, pk=rollout_pk).first()
    if rollout is None or not 0 <= step < STEPS:
        raise Refused("This answer is not there any more; rate the next one.")
    with transaction.atomic():
        Rating.objects.update_or_create(rollout=rollout, by=by, defaults={"step": step})


def take_back(run: RFTJob, *, by: Any) -> None:
    """Forget the person's last rating."""
    last = Rating.objects.filter(rollout__run=run, by=by).order_by("-rated_at", "-pk").first()
    if last is not None:
        last.delete()


@dataclass(frozen=True)
class Calibration:
    """``agreement`` None below two rated answers; ``rollouts`` are the rated answers, as ``agreement`` numbers them."""

    agreement: Agreement | None
    rollouts: list[Rollout]
    raters: int


def calibration_of(run: RFTJob) -> Calibration:
    """How the grader of today agrees with all ratings of its dry run's answers; several people's are averaged."""
    ratings: dict[int, list[int]] = defaultdict(list)
    people = set()
    for rollout, step, person in Rating.objects.filter(rollout__run=run).values_list("rollout", "step", "by"):
        ratings[rollout].append(step)
        people.add(person)
    rated = [rollout for rollout in scored_answers(run) if rollout.pk in ratings] if ratings else []
    if len(rated) < 2:
        return Calibration(None, rated, len(people))
    steps = [round(fmean(ratings[rollout.pk])) for rollout in rated]
    # A multi grader's formula may leave 0..1; the scale of ratings does not.
    rewards = [min(1.0, max(0.0, rollout.reward or 0.0)) for rollout in rated]
    return Calibration(measure_agreement(rewards, steps, seed=run.seed), rated, len(people))


def scored_answers(run: RFTJob) -> list[Rollout]:
    """The dry run's answers that the grader of today has scored, in an order that stays."""
    stored = run.steps.filter(step=flow.DRY_RUN, finished_at__isnull=False).first()
    if stored is None or run.grader_config is None:
        return []
    key = stored.summary["sampling_key"]
    found = Rollout.objects.filter(run=run, sampling_key=key, grader_digest=grader_digest(run.grader_config))
    return list(found.exclude(reward=None).order_by("item", "sample_index"))
