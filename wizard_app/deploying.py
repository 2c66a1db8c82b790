"""Tuned models made callable and taken back: the wish is written first, a job carries it out."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from rft_project.connections.models import AuditEntry
from rft_project.connections.services import platform_for
from rft_project.jobs.models import Job
from rft_project.jobs.services import enqueue, request_cancel
from rft_project.ledger import services as ledger
from rft_project.platforms.base import Platform
from rft_project.platforms.catalogue import entry
from rft_project.platforms.types import DeployRequest, Handle, ModelInfo, State

from . import attempts, flow
from .models import Deployment, RFTJob
from .services import Refused


def deployable(run: RFTJob) -> dict[str, str]:
    """Models of the run's training that can be deployed, with what they are called for people; the final one first."""
    found = {run.tuned_model: "The final model"} if run.tuned_model else {}
    for checkpoint in run.checkpoints.order_by("-step"):
        if checkpoint.model:
            found.setdefault(checkpoint.model, f"The checkpoint of step {checkpoint.step:,}")
    return found


def base_info(run: RFTJob) -> ModelInfo | None:
    """The catalogue's entry of the base model, dates and prices included; asks no platform."""
    if run.connection is None or run.connection.kind == "local":
        return None
    return next((info for info in entry(run.connection.kind).models if info.id == run.base_model), None)


def deploy(run: RFTJob, *, model: str = "", options: dict[str, Any] | None = None, by: Any) -> Deployment:
    """Queue the deployment of ``model`` (the final one where it is ''); pressing again finds the one that is there.

    One that ended in an error here, while its platform may have made it, is taken up again. Raises Refused.
    """
    run = attempts.as_trained(run)
    if not run.tuned_model or run.connection is None:
        raise Refused("There is no tuned model yet; train first.")
    model = model or run.tuned_model
    if model not in deployable(run):
        raise Refused("Choose a model of this run's training; its platform may keep that one no longer.")
    info = base_info(run)
    if info is not None and not info.deployable:
        raise Refused(f"{info.label} can't be deployed from here: {' '.join(info.needs) or 'use the platform itself.'}")
    try:
        with transaction.atomic():
            found = run.deployments.filter(model=model, ended_at=None).first()
            if found is None and any(serves(other) == model for other in run.deployments.filter(ended_at=None)):
                raise Refused("It still answers behind a deployment that is being given another model; wait for that.")
            return _carried_out(found, by) if found is not None else _new(run, model, options or {}, by)
    except IntegrityError:  # somebody pressed at the same moment
        return run.deployments.get(model=model, ended_at=None)


def serves(deployment: Deployment) -> str:
    """The model that stands behind it now, '' before any does."""
    last = deployment.served.first()
    return last.model if last is not None else ""


def _new(run: RFTJob, model: str, options: dict[str, Any], by: Any) -> Deployment:
    made = Deployment.objects.create(
        run=run,
        connection=run.platform_connection,
        key=_key(run, model),
        options=options,
        model=model,
        state=State.QUEUED.value,
        created_by_id=by.pk if by else None,
    )
    AuditEntry.write("deploy", run, workspace=run.workspace, actor=by, detail=model)
    return _carried_out(made, by)


def _key(run: RFTJob, model: str) -> str:
    """Of the intent. One that never stood is wished for again under its key, so that what it left is found; any other
    has had its key, whatever model stands behind it by now."""
    key = f"{run.training_key}:deploy:{sha256(model.encode()).hexdigest()[:12]}"
    never_stood = Q(state=State.FAILED.value, handle="")
    had = run.deployments.filter(key__startswith=key).exclude(never_stood).count()
    return f"{key}:{had}" if had else key


def _carried_out(deployment: Deployment, by: Any) -> Deployment:
    """``deployment`` with a job at work on it, unless it answers."""
    if not deployment.answers:
        deployment.job = _job(deployment, by)
        deployment.save(update_fields=["job"])
    return deployment


def _job(deployment: Deployment, by: Any) -> Job:
    return enqueue("deploy", {"deployment": deployment.pk}, lock_key=f"deployment:{deployment.pk}", by=by, unit="steps")


def look(deployment: Deployment, *, by: Any) -> None:
    """Queue a look at one that stands: platforms take some away by themselves."""
    if deployment.ended_at is None:
        deployment.job = _job(deployment, by)
        deployment.save(update_fields=["job"])


def undeploy(deployment: Deployment, *, by: Any) -> bool:
    """Take the deployment back; the tuned model itself stays. False where that goes on in the background: while a job
    is at work on it, that job is asked to stop, and takes back what it has made. Raises PlatformError."""
    if deployment.ended_at is not None:
        return True
    at_work = deployment.job is not None and deployment.job.is_live and request_cancel(deployment.job).is_live
    if not at_work:
        take_back(deployment)
    AuditEntry.write("undeploy", deployment.run, workspace=deployment.run.workspace, actor=by, detail=str(deployment))
    return not at_work


def take_back(deployment: Deployment) -> None:
    """Raises PlatformError, Unknown while its platform may have made it unseen; it stands then."""
    platform = platform_for(deployment.connection)
    handle = deployment.handle or ledger.made(deployment.key, ledger.DEPLOY) or _found(deployment, platform)
    if handle:
        platform.undeploy(Handle(id=handle, kind="deployment"))
    ended(deployment, state=State.SUCCEEDED if deployment.answers else State.CANCELLED)


def _found(deployment: Deployment, platform: Platform) -> str:
    """What a call whose answer was lost has made, '' where it made nothing."""
    if not ledger.may_stand(deployment.key, ledger.DEPLOY):
        return ""
    try:
        return platform.deploy(request_of(deployment), ledger.OnlyLooks()).id
    except ledger.NotThere:
        ledger.refuse_unsettled(deployment.connection, deployment.key, ledger.DEPLOY)
        return ""


def request_of(deployment: Deployment) -> DeployRequest:
    """What is asked of the platform; the same for the same deployment, always."""
    run = attempts.as_trained(RFTJob.objects.get(pk=deployment.run_id))
    return DeployRequest(
        key=deployment.key, model=deployment.model, name=run.name, base=run.base_model, options=deployment.options
    )


def ended(deployment: Deployment, *, state: State, detail: str = "", remedy: str = "") -> None:
    """It stands no more, or never stood: the next wish makes it anew."""
    ledger.release(deployment.key)
    deployment.state, deployment.detail, deployment.remedy = state.value, detail[:500], remedy
    deployment.ended_at = timezone.now()
    deployment.save(update_fields=["state", "detail", "remedy", "ended_at"])


def promotable(deployment: Deployment) -> dict[str, str]:
    """Other models of the run that may be put behind ``deployment``; {} where its platform can't."""
    if not deployment.answers or deployment.connection.kind not in flow.PROMOTE:
        return {}
    standing = set(deployment.run.deployments.filter(ended_at=None).values_list("model", flat=True))
    earlier = {served.model: f"The model of {served.since:%-d %B %Y, %H:%M}" for served in deployment.served.all()}
    return {model: label for model, label in (earlier | deployable(deployment.run)).items() if model not in standing}


def promote(deployment: Deployment, model: str, *, by: Any) -> None:
    """Queue putting ``model`` behind ``deployment``; until it is done the one before answers. A roll-back is the same
    with the model before. Raises Refused."""
    if deployment.model == model:
        return
    if model not in promotable(deployment):
        raise Refused("This model can't be put behind the deployment; load the page again to see which can.")
    with transaction.atomic():
        moved = Deployment.objects.filter(pk=deployment.pk, model=deployment.model, ended_at=None).update(
            model=model, state=State.QUEUED.value, detail="", remedy=""
        )
        if not moved:
            raise Refused("Somebody changed this deployment a moment ago; load the page again.")
        AuditEntry.write("promote", deployment.run, workspace=deployment.run.workspace, actor=by, detail=model)
        deployment.refresh_from_db()
        _carried_out(deployment, by)
