"""What the attack on a run's grader shows: how many cheats fooled it, and what each of them said."""

from __future__ import annotations

from dataclasses import dataclass

from rft_project.jobs.models import Job
from wizard_app.attacking import mark_of
from wizard_app.models import Attack, RFTJob
from wizard_app.schemas import AttackSummary, FooledBy

NOTABLE = 0.5  # rank correlation, either sign


@dataclass(frozen=True)
class AttackPanel:
    """``stale``: the grader or the split changed since. ``notes``: what length and form have to do with the score."""

    run: RFTJob
    job: Job | None
    summary: AttackSummary | None
    stale: bool

    @property
    def is_live(self) -> bool:
        return self.job is not None and self.job.is_live

    @property
    def version(self) -> int:
        return self.job.version if self.job is not None else 0

    @property
    def fooled(self) -> list[FooledBy]:
        return [cheat for cheat in self.summary.cheats if cheat.fooled] if self.summary else []

    @property
    def held(self) -> list[FooledBy]:
        return [cheat for cheat in self.summary.cheats if not cheat.fooled] if self.summary else []

    @property
    def tone(self) -> str:
        return "warn" if self.fooled else "good"

    @property
    def notes(self) -> list[str]:
        if self.summary is None:
            return []
        notes = []
        if self.summary.length is not None and abs(self.summary.length) >= NOTABLE:
            which = "Longer" if self.summary.length > 0 else "Shorter"
            notes.append(f"{which} logged answers score higher (rank correlation {self.summary.length:+.2f}).")
        if self.summary.format is not None and abs(self.summary.format) >= NOTABLE:
            which = "with" if self.summary.format > 0 else "without"
            notes.append(f"Logged answers {which} lists, bold text or JSON score higher ({self.summary.format:+.2f}).")
        if self.summary.errors:
            notes.append(f"{self.summary.errors:,} answers could not be scored.")
        return notes


def attack_panel(run: RFTJob) -> AttackPanel:
    found = Attack.objects.select_related("job").filter(run=run).first()
    if found is None:
        return AttackPanel(run, None, None, False)
    summary = AttackSummary.model_validate(found.summary) if found.summary else None
    stale = run.snapshot is None or found.mark != mark_of(run)
    return AttackPanel(run, found.job, summary, stale)
