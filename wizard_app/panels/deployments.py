"""A deployment's page: what stands, how to call it, what it costs while it stands, and how long it will answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import F

from rft_project.connections.models import Connection
from rft_project.connections.services import calling_address, is_emulated
from rft_project.jobs.models import Job
from rft_project.money.prices import priced
from rft_project.web.text import dollars
from wizard_app import flow
from wizard_app.attempts import as_trained
from wizard_app.deploying import base_info, deployable, promotable
from wizard_app.forms import DeployForm
from wizard_app.models import Deployment, RFTJob, ServedModel

#: Days before the last one from which it is said with a warning.
SOON = 90


@dataclass(frozen=True)
class DeploymentPanel:
    """``word`` and ``tone`` are its badge's. ``others``: models that can be put behind it. ``before``: the model that a
    roll-back brings back."""

    deployment: Deployment
    label: str
    word: str
    tone: str
    hosting: str
    until: str
    until_tone: str
    snippet: str
    history: tuple[ServedModel, ...]
    others: tuple[tuple[str, str], ...] = ()
    before: str = ""
    compares: bool = False  # the comparison of base and tuned model waited for it

    @property
    def job(self) -> Job | None:
        return self.deployment.job

    @property
    def query(self) -> str:
        """Of the playground's address, where it is not the final model that is to be asked there."""
        own = self.deployment.model == self.deployment.run.tuned_model
        return "" if own else f"?deployment={self.deployment.pk}"

    @property
    def is_live(self) -> bool:
        return self.job is not None and self.job.is_live

    @property
    def version(self) -> str:
        return f"{self.job.pk}.{self.job.version}" if self.job is not None else "0"


def deployment_panel(deployment: Deployment) -> DeploymentPanel:
    run = as_trained(deployment.run)
    word, tone = word_of(deployment)
    until, until_tone = _until(run)
    others = promotable(deployment)
    history = tuple(deployment.served.all()[:20])
    before = next((line.model for line in history if line.model != deployment.model and line.model in others), "")
    return DeploymentPanel(
        deployment=deployment,
        label=deployable(run).get(deployment.model, "A model of an earlier training"),
        word=word,
        tone=tone,
        hosting=hosting_of(deployment.connection, deployment.model, run.base_model),
        until=until,
        until_tone=until_tone,
        snippet=snippet_of(deployment),
        history=history,
        others=tuple(others.items()),
        before=before,
        compares=deployment.connection.kind in flow.DEPLOYED_FIRST and not _compared(run),
    )


def _compared(run: RFTJob) -> bool:
    return run.steps.filter(step=flow.RESULTS, finished_at__isnull=False).exists()


def word_of(deployment: Deployment) -> tuple[str, str]:
    """Word and tone of a deployment's badge."""
    if deployment.ended_at is not None:
        return ("failed", "bad") if deployment.state == "failed" else ("taken back", "")
    if deployment.answers:
        return "deployed", "good"
    if deployment.job is None or deployment.job.is_live:
        return ("changing", "running") if deployment.called else ("being deployed", "running")
    return "not known", "warn"


def deploy_form(run: RFTJob, data: Any = None) -> DeployForm:
    """Which model of a run ``as_trained``, and what its platform lets be chosen."""
    info = base_info(run)
    return DeployForm(data, models=deployable(run), bounds=info.deploy_options if info is not None else {})


def hosting_of(connection: Connection, model: str, base: str) -> str:
    """What a deployment of ``model``, tuned from ``base``, costs while it stands, asked or not."""
    price = priced(connection, model, base).hosting_hour
    if price is None:
        return "Whether it costs anything while nobody asks it is not known: look at the platform's prices."
    if price == 0:
        return "Nothing while nobody asks it."
    return f"{dollars(price)} an hour while it stands, asked or not."


def _until(run: RFTJob, today: date | None = None) -> tuple[str, str]:
    """Until when tuned models of its base answer, with the tone to say it in."""
    info = base_info(run)
    if info is None or not info.serves_until:
        return "", ""
    last = date.fromisoformat(info.serves_until)
    days = (last - (today or date.today())).days
    if days < 0:
        return f"The platform's last day for it was {last:%-d %B %Y}.", "bad"
    return f"{days:,} days left: it answers until {last:%-d %B %Y}.", "warn" if days <= SOON else ""


def snippet_of(deployment: Deployment) -> str:
    """Code to call it: the field's own SDKs, nothing of ours."""
    called = deployment.called or deployment.model
    if deployment.connection.kind == "bedrock":
        region = called.split(":")[3] if called.startswith("arn:") else "us-east-1"
        return (
            "import boto3\n\n"
            f'client = boto3.client("bedrock-runtime", region_name="{region}")\n'
            "answer = client.converse(\n"
            f'    modelId="{called}",\n'
            '    messages=[{"role": "user", "content": [{"text": "…"}]}],\n'
            ")\n"
            'print(answer["output"]["message"]["content"][0]["text"])\n'
        )
    address = calling_address(deployment.connection)
    base = f'base_url="{address}", ' if address else ""
    return (
        "from openai import OpenAI\n\n"
        f'client = OpenAI({base}api_key="…")\n'
        "answer = client.chat.completions.create(\n"
        f'    model="{called}",\n'
        '    messages=[{"role": "user", "content": "…"}],\n'
        ")\n"
        "print(answer.choices[0].message.content)\n"
    )


@dataclass(frozen=True)
class DeploymentLine:
    deployment: Deployment
    word: str
    tone: str
    emulated: bool


def deployment_lines(user: Any) -> list[DeploymentLine]:
    """Of all the user's workspaces: what stands first, then what has ended; the latest two hundred."""
    found = Deployment.objects.filter(run__in=RFTJob.objects.of(user))
    rows = found.select_related("run", "connection", "job", "created_by")
    return [line_of(row) for row in rows.order_by(F("ended_at").desc(nulls_first=True), "-pk")[:200]]


def line_of(deployment: Deployment) -> DeploymentLine:
    return DeploymentLine(deployment, *word_of(deployment), is_emulated(deployment.connection))
