"""The grader step: which grader a choice means."""

from __future__ import annotations

from graders_app.core.presets import load_preset
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
