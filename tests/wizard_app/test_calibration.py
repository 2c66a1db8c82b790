"""Rating answers blind, and what it says of the grader."""

from __future__ import annotations

import pytest
from django.urls import reverse

from graders_app.services import save_grader
from wizard_app import flow, services
from wizard_app.calibration import calibration_of, queue_for, rate
from wizard_app.jobs.dry_run import result_of
from wizard_app.models import Rating, Rollout
from wizard_app.panels.calibration import trust_sentence
from wizard_app.sampling import grader_digest
from wizard_app.services import Refused

from .conftest import dry_run_params

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def scored_run(graded_run):
    """A run whose dry run has 40 answers: half of the right label, the rest wrong."""
    items = list(graded_run.snapshot.items.filter(part="train").order_by("pk")[:20])
    mark = grader_digest(graded_run.grader_config)
    Rollout.objects.bulk_create(
        Rollout(
            run=graded_run, item=item, sampling_key="k", sample_index=index, answer=f"answer {index} to {number}",
            reward=[0.0, 0.1, 0.5, 1.0][(number + index) % 4], grader_digest=mark,
        )
        for number, item in enumerate(items)
        for index in range(2)
    )  # fmt: skip
    result = result_of(graded_run, items, "k")
    services.finish_step(graded_run, flow.DRY_RUN, dry_run_params(graded_run), result)
    return graded_run


def honestly(rollout) -> int:
    return round((rollout.reward or 0.0) * 4)


@pytest.fixture
def client(owner, client_of):
    return client_of(owner)


def address(run, name="rate"):
    return reverse(f"wizard:{name}", args=[run.pk])


def test_thirty_answers_are_rated_one_by_one_without_their_scores(scored_run, client, owner):
    queue = queue_for(scored_run, owner)
    assert (queue.total, queue.done) == (30, 0)

    page = client.get(address(scored_run)).content.decode()
    assert "Answer 1 of 30" in page
    assert queue.next().answer in page
    assert "Rank correlation" not in page

    answer = client.post(address(scored_run, "do_rate"), {"rollout": queue.next().pk, "step": 3})
    assert answer["Location"] == address(scored_run)
    assert Rating.objects.get().step == 3
    assert "Answer 2 of 30" in client.get(address(scored_run)).content.decode()


def test_all_rated_gives_the_agreement_with_its_advice(scored_run, client, owner):
    for rollout in queue_for(scored_run, owner).rollouts:
        rate(scored_run, rollout.pk, honestly(rollout), by=owner)

    found = calibration_of(scored_run).agreement
    assert (found.count, found.verdict) == (30, "good")
    page = client.get(address(scored_run)).content.decode()
    assert "The grader ranks answers as you do" in page
    assert "Nowhere by a whole step of the scale." in page
    assert trust_sentence(scored_run).startswith("30 answers rated by people: the grader ranks answers as you do (rank")


def test_a_grader_that_has_it_wrong_is_shown_where(scored_run, client, owner):
    for rollout in queue_for(scored_run, owner).rollouts:
        rate(scored_run, rollout.pk, 4 - honestly(rollout), by=owner)

    assert calibration_of(scored_run).agreement.verdict == "poor"
    page = client.get(address(scored_run)).content.decode()
    assert page.count("the grader is too") == 5
    assert "You said “Useless”: the grader is too kind." in page


def test_a_rating_is_changed_and_taken_back(scored_run, client, owner):
    first = queue_for(scored_run, owner).next()
    rate(scored_run, first.pk, 1, by=owner)
    rate(scored_run, first.pk, 2, by=owner)
    assert list(Rating.objects.values_list("step", flat=True)) == [2]

    client.post(address(scored_run, "do_unrate"))
    assert not Rating.objects.exists()
    client.post(address(scored_run, "do_unrate"))


def test_two_people_rate_for_themselves_and_are_averaged(scored_run, owner, colleague):
    for rollout in queue_for(scored_run, owner).rollouts:
        rate(scored_run, rollout.pk, 4, by=owner)
        rate(scored_run, rollout.pk, 0, by=colleague)

    found = calibration_of(scored_run)
    assert (found.raters, found.agreement.count) == (2, 30)
    assert {one.rating for one in found.agreement.worst} == {0.5}
    assert queue_for(scored_run, colleague).done == 30


def test_ratings_outlive_a_change_of_grader(scored_run, owner):
    rollouts = queue_for(scored_run, owner).rollouts
    for rollout in rollouts:
        rate(scored_run, rollout.pk, honestly(rollout), by=owner)
    config = {**scored_run.grader_config, "name": "other"}
    services.choose_grader(scored_run, save_grader(scored_run.workspace, "Other", config, by=None))
    scored_run.refresh_from_db()
    assert calibration_of(scored_run).agreement is None

    Rollout.objects.filter(run=scored_run).update(reward=0.5, grader_digest=grader_digest(scored_run.grader_config))
    assert calibration_of(scored_run).agreement.verdict == "poor"


@pytest.mark.parametrize("step", [-1, 5])
def test_a_rating_that_cannot_be_is_refused(scored_run, owner, step):
    with pytest.raises(Refused):
        rate(scored_run, Rollout.objects.first().pk, step, by=owner)
    assert not Rating.objects.exists()


def test_an_answer_of_another_run_is_not_rated(scored_run, owner):
    other = services.create_run(scored_run.dataset, "Other", by=None)
    with pytest.raises(Refused, match="This answer is not there any more"):
        rate(other, Rollout.objects.first().pk, 2, by=owner)


def test_without_a_dry_run_the_page_says_what_comes_first(graded_run, client):
    page = client.get(address(graded_run)).content.decode()
    assert "Sample the base model first." in page
    assert trust_sentence(graded_run) == ""
