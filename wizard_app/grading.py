"""The grader step: which grader a choice means, and trying it on one answer."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import Http404

from datasets_app.core.rows import item_of
from graders_app.core.evaluate import GraderResult, JailUnavailable, make_sample
from graders_app.core.presets import load_preset
from graders_app.judging import open_for
from graders_app.models import Grader
from graders_app.services import save_grader
from rft_project.jobs.services import HasPk

from .items import preset_context
from .models import RFTJob
from .services import Refused


def chosen(run: RFTJob, kind: str, value: str, *, by: HasPk | None) -> Grader:
    """The saved grader, or the preset built from this run's records and saved. Raises Refused or GraderError."""
    if kind == "saved":
        grader = Grader.objects.filter(workspace=run.workspace, pk=int(value)).first()
        if grader is None:
            raise Refused("This grader does not exist any more; choose another.")
        return grader
    if run.snapshot is None:
        raise Refused("Split the dataset first.")
    preset = load_preset(value)
    config = preset.build(preset_context(run.frozen))
    return save_grader(run.workspace, f"{preset.title}, {run.dataset.name}"[:120], config, preset=preset.slug, by=by)


@dataclass(frozen=True)
class Trial:
    """One scored answer, for reading."""

    item_pk: int
    answer: str
    result: GraderResult | None
    problem: str = ""

    @property
    def parts(self) -> list[tuple[str, float]]:
        return sorted(self.result.sub_rewards.items()) if self.result is not None else []


def trial(run: RFTJob, item_pk: int, answer: str) -> Trial:
    """Score ``answer`` as an answer to one of the run's records."""
    item = run.snapshot.items.filter(pk=item_pk).first() if run.snapshot is not None else None
    if item is None or run.grader_config is None:
        raise Http404
    try:
        with open_for(run.workspace, run.grader_config) as grader:
            return Trial(item_pk, answer, grader.grade(make_sample(answer), item_of(item.trace)))
    except JailUnavailable as error:
        return Trial(item_pk, answer, None, str(error))
