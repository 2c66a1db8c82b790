"""A deployment: ask for it once, then look until it answers. No worker waits on a platform."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from rft_project.connections.scrub import scrub
from rft_project.connections.services import platform_for
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import Cancelled, JobFailed, WaitUntil
from rft_project.ledger import services as ledger
from rft_project.platforms.base import Platform
from rft_project.platforms.errors import PlatformError, Unknown
from rft_project.platforms.types import DeploymentStatus, DeployRequest, Handle, State
from wizard_app import flow
from wizard_app.attempts import as_trained
from wizard_app.deploying import ended, take_back
from wizard_app.models import Deployment, RFTJob, ServedModel
from wizard_app.schemas import DeployResult
from wizard_app.services import queue_evaluation

LOOK_AGAIN, LOOK_LONGER, AGAIN = 5.0, 30.0, 30.0  # seconds between two looks; after one that failed
SOON, LONG = timedelta(minutes=2), timedelta(hours=1)  # how long a deployment is looked at often; is usual


def run_deploy(ctx: JobContext) -> DeployResult:
    """One look at the deployment; asks for it when that was not done yet. Parks itself until the next look."""
    found = Deployment.objects.select_related("run__workspace", "run__connection", "connection")
    deployment = found.get(pk=ctx.params["deployment"])
    if deployment.ended_at is not None:
        raise JobFailed("This deployment has ended; deploy the model anew.", "ended")
    platform = platform_for(deployment.connection)
    try:
        ctx.check()
        status = _asked(ctx, deployment, platform)
    except Cancelled:
        _stop(deployment)
        raise
    if not status.state.final:
        raise _later(deployment, status)
    if status.state is not State.SUCCEEDED:
        said = status.detail or f"The platform could not deploy the model: {status.word}."
        with ctx.batch():
            ended(deployment, state=State.FAILED, detail=said)
        raise JobFailed(said, "deployment_failed")
    return _conclude(ctx, deployment, status)


def _asked(ctx: JobContext, deployment: Deployment, platform: Platform) -> DeploymentStatus:
    """What the platform says of it, once it was asked for it."""
    try:
        if not deployment.handle:
            _make(ctx, deployment, platform)
        elif _promotes(deployment):
            platform.promote(_handle(deployment), deployment.model)
        status = platform.deployment(_handle(deployment))
    except Unknown as error:
        raise WaitUntil(AGAIN if error.retry_after is None else error.retry_after, scrub(str(error))) from error
    except PlatformError as error:
        if error.retryable:
            wait = AGAIN if error.retry_after is None else error.retry_after
            raise WaitUntil(wait, f"{scrub(str(error))} Looking again.") from error
        raise _refused(ctx, deployment, error) from error
    with ctx.batch():
        deployment.word, deployment.detail = status.word[:60], status.detail[:500]
        deployment.save(update_fields=["word", "detail"])
    return status


def _make(ctx: JobContext, deployment: Deployment, platform: Platform) -> None:
    """The key was stored before; the ledger and the adapter find what an earlier attempt made with it."""
    run = as_trained(RFTJob.objects.get(pk=deployment.run_id))
    request = DeployRequest(
        key=deployment.key, model=deployment.model, name=run.name, base=run.base_model, options=deployment.options
    )
    journal = ledger.journal(deployment.connection, deployment.key, f"deployment of {run.name}")
    deployment.handle = platform.deploy(request, journal).id
    deployment.state = State.RUNNING.value
    with ctx.batch():
        deployment.save(update_fields=["handle", "state"])


def _handle(deployment: Deployment) -> Handle:
    return Handle(id=deployment.handle, kind="deployment")


def _promotes(deployment: Deployment) -> bool:
    """Whether another model stands behind it than is wished for."""
    last = deployment.served.first()
    return last is not None and last.model != deployment.model


def _later(deployment: Deployment, status: DeploymentStatus) -> WaitUntil:
    age = timezone.now() - deployment.created_at
    note = status.detail or f"The platform says “{status.word}”."
    if age > LONG:
        note = f"{note} This takes longer than usual: look at the platform's own console too."
    return WaitUntil(LOOK_AGAIN if age < SOON else LOOK_LONGER, note)


def _refused(ctx: JobContext, deployment: Deployment, error: PlatformError) -> JobFailed:
    """What was not made ends; what could not be given another model keeps the one it has; what can't be looked at
    stands all the same."""
    said = scrub(str(error))
    with ctx.batch():
        if not deployment.handle:
            ended(deployment, state=State.FAILED, detail=said, remedy=error.remedy)
        else:
            before = deployment.served.first()
            if before is not None:
                deployment.model, deployment.state = before.model, State.SUCCEEDED.value
            deployment.detail, deployment.remedy = said[:500], error.remedy
            deployment.save(update_fields=["model", "state", "detail", "remedy"])
    return JobFailed(said, error.code or "refused")


def _stop(deployment: Deployment) -> None:
    """Parks the job while it can't be told whether the platform made it."""
    try:
        take_back(deployment)
    except Unknown as error:
        raise WaitUntil(AGAIN if error.retry_after is None else error.retry_after, scrub(str(error))) from error


def _conclude(ctx: JobContext, deployment: Deployment, status: DeploymentStatus) -> DeployResult:
    """Where a model answers only once it is deployed, comparing it was waiting for this."""
    run, before = deployment.run, deployment.served.first()
    with ctx.batch():
        if before is not None and status.word == "UpdateFailed":
            deployment.model = before.model
        elif before is None or before.model != deployment.model:
            ServedModel.objects.create(deployment=deployment, model=deployment.model)
        deployment.called, deployment.state = status.model or deployment.model, State.SUCCEEDED.value
        deployment.save(update_fields=["called", "state", "model"])
        waits = deployment.connection.kind in flow.DEPLOYED_FIRST and deployment.model == run.tuned_model
        if waits and not run.steps.filter(step=flow.RESULTS).exists():
            queue_evaluation(run, by=deployment.created_by)
    return DeployResult(model=deployment.model, called=deployment.called)
