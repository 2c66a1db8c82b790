"""What the pages show."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from graders_app.core.compiling import TARGETS
from graders_app.core.compiling.targets import Target
from graders_app.core.presets import JUDGE, load_preset
from graders_app.core.spec import GraderSpec, MultiSpec, PythonSpec, ScoreModelSpec, children, item_fields, parse_grader

from . import forms, words
from .comparing import ChangedLine, changed_lines
from .editing import has_form
from .examples import example_answer, example_item
from .kinds import libraries
from .models import Grader, GraderQuerySet
from .services import current_version
from .trial import Trial, jail_problem


@dataclass(frozen=True)
class Row:
    """A line of the list."""

    grader: Grader
    kind: str
    preset: str


def rows(graders: GraderQuerySet) -> list[Row]:
    return [
        Row(
            grader,
            words.TYPES.get(grader.config.get("type", ""), "Unknown"),
            words.PRESET_TITLES.get(grader.preset, ""),
        )
        for grader in graders
    ]


@dataclass(frozen=True)
class GraderPanel:
    grader: Grader
    current: Grader
    kind: str
    preset: str
    measures: str  # the preset's sentence, else the only part's, else ''
    parts: list[words.Part]
    formula: str
    fields: list[str]
    versions: list[Grader]
    libraries: tuple[str, ...]  # of a python grader
    closed: str  # why python parts cannot run here
    edit: Any
    source: Any
    try_form: Any
    trial: Trial | None
    copy: Any
    in_form: bool  # a form can change it
    before: Grader | None  # the version before this one
    changes: list[ChangedLine] | None  # against ``before``; None where there are too many lines
    targets: list[Target]  # files that it can be taken along as
    take_form: Any  # asks for a model where a judge is only a role, else None

    @property
    def is_current(self) -> bool:
        return self.grader.pk == self.current.pk


def grader_panel(
    grader: Grader,
    *,
    edit: Any = None,
    source: Any = None,
    try_form: Any = None,
    trial: Trial | None = None,
    copy: Any = None,
) -> GraderPanel:
    """Everything on a grader's page; the forms are fresh ones where none is given."""
    spec = parse_grader(grader.config)
    parts = words.parts_of(spec)
    current = current_version(grader.workspace, grader.name) or grader
    seen = {"seen": current.version}
    document = json.dumps(grader.config, ensure_ascii=False, indent=2)
    python = isinstance(spec, PythonSpec)
    versions = list(Grader.objects.filter(workspace=grader.workspace, name=grader.name).select_related("created_by"))
    before = next((version for version in versions if version.version < grader.version), None)
    return GraderPanel(
        grader=grader,
        current=current,
        kind=words.TYPES[spec.type],
        preset=words.PRESET_TITLES.get(grader.preset, ""),
        measures=_measures(grader, parts),
        parts=parts,
        formula=spec.calculate_output if isinstance(spec, MultiSpec) else "",
        fields=sorted(item_fields(spec)),
        versions=versions,
        libraries=libraries() if python else (),
        closed=jail_problem(spec),
        edit=edit or forms.EditForm(initial={**seen, "config": document}),
        source=(source or forms.SourceForm(initial={**seen, "source": parts[0].source})) if python else None,
        try_form=try_form or forms.TryForm(initial=try_values(spec)),
        trial=trial,
        copy=copy or forms.DuplicateForm(initial={"name": f"{grader.name} (copy)"[:120]}),
        in_form=has_form(grader),
        before=before,
        changes=changed_lines(before.config, grader.config) if before else [],
        targets=list(TARGETS.values()),
        take_form=forms.TakeForm() if _names_role(spec) else None,
    )


def try_values(spec: GraderSpec) -> dict[str, str]:
    """What the test form starts with."""
    return {
        "answer": example_answer(spec),
        "item": json.dumps(example_item(spec), ensure_ascii=False, indent=2),
    }


def _measures(grader: Grader, parts: list[words.Part]) -> str:
    if grader.preset in words.PRESET_TITLES:
        return load_preset(grader.preset).measures
    return parts[0].sentence if len(parts) == 1 else ""


def _names_role(spec: GraderSpec) -> bool:
    return any(isinstance(part, ScoreModelSpec) and part.model == JUDGE for part in children(spec).values())
