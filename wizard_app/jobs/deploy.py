"""A deployment: ask for it once, then look until it answers. No worker waits on a platform."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from django.utils import timezone

from rft_project.connections.scrub import scrub
from rft_project.connections.services import platform_for
from rft_project.jobs.context import JobContext
from rft_project.jobs.outcomes import Again, Cancelled, JobFailed, WaitUntil
from rft_project.ledger import services as ledger
from rft_project.platforms.base import Platform
from rft_project.platforms.errors import PlatformError, Unknown
from rft_project.platforms.types import DeploymentStatus, Handle, State
from wizard_app import flow
from wizard_app.deploying import ended, request_of, serves, take_back
from wizard_app.models import Deployment, ServedModel
from wizard_app.schemas import DeployResult
from wizard_app.services import queue_evaluation

LOOK_AGAIN, LOOK_LONGER, AGAIN = 5.0, 30.0, 30.0  # seconds between two looks; after one that failed
BEING_MADE = 409  # the status with which platforms refuse to delete what is not ready
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
        ctx.check()
        if status.state is State.SUCCEEDED:
            return _conclude(ctx, deployment, status)
    except Cancelled:
        _stop(deployment)
        raise
    if not status.state.final or _lags(deployment, status):
        raise _later(ctx, deployment, status)
    raise _over(ctx, deployment, platform, status)


def _asked(ctx: JobContext, deployment: Deployment, platform: Platform) -> DeploymentStatus:
    """What the platform says of it, once it was asked for it."""
    try:
        if not deployment.handle:
            _make(ctx, deployment, platform)
        elif serves(deployment) not in ("", deployment.model):
            platform.promote(_handle(deployment), deployment.model)
        status = platform.deployment(_handle(deployment))
    except PlatformError as error:
        if error.retryable or isinstance(error, Unknown):
            raise _again(error) from error
        raise _refused(ctx, deployment, error) from error
    with ctx.batch():
        deployment.word, deployment.detail = status.word[:60], status.detail[:500]
        deployment.save(update_fields=["word", "detail"])
    return status


def _again(error: PlatformError) -> WaitUntil:
    return WaitUntil(AGAIN if error.retry_after is None else error.retry_after, f"{scrub(str(error))} Looking again.")


def _make(ctx: JobContext, deployment: Deployment, platform: Platform) -> None:
    """The key was stored before; the ledger and the adapter find what an earlier attempt made with it."""
    request = request_of(deployment)
    journal = ledger.journal(deployment.connection, deployment.key, f"deployment of {request.name}")
    deployment.handle = platform.deploy(request, journal).id
    deployment.state = State.RUNNING.value
    with ctx.batch():
        deployment.save(update_fields=["handle", "state"])


def _handle(deployment: Deployment) -> Handle:
    return Handle(id=deployment.handle, kind="deployment")


def _lags(deployment: Deployment, status: DeploymentStatus) -> bool:
    """Whether one that was just made is only not shown yet."""
    made = ledger.made_at(deployment.key, ledger.DEPLOY)
    if status.word != "missing" or made is None or deployment.called:
        return False
    return timezone.now() - made < timedelta(seconds=ledger.grace_of(deployment.connection))


def _later(ctx: JobContext, deployment: Deployment, status: DeploymentStatus) -> WaitUntil:
    age = timezone.now() - ctx.job.created_at
    note = status.detail or f"The platform says “{status.word}”."
    if age > LONG:
        note = f"{note} This takes longer than usual: look at the platform's own console too."
    return WaitUntil(LOOK_AGAIN if age < SOON else LOOK_LONGER, note)


def _over(ctx: JobContext, deployment: Deployment, platform: Platform, status: DeploymentStatus) -> JobFailed:
    """It failed at its platform, or is gone there; what is left of it would be in the way of the next."""
    said = status.detail or f"The platform could not deploy the model: {status.word}."
    with suppress(PlatformError):
        platform.undeploy(_handle(deployment))
    with ctx.batch():
        ended(deployment, state=State.FAILED, detail=said)
    return JobFailed(said, "deployment_failed")


def _refused(ctx: JobContext, deployment: Deployment, error: PlatformError) -> JobFailed:
    """What was surely not made ends; what could not be given another model keeps the one it has; what stands or may
    stand is not thought gone because it can't be looked at."""
    said, before = scrub(str(error)), serves(deployment)
    with ctx.batch():
        if not deployment.handle and not ledger.may_stand(deployment.key, ledger.DEPLOY):
            ended(deployment, state=State.FAILED, detail=said, remedy=error.remedy)
        else:
            if before:
                deployment.model, deployment.state = before, State.SUCCEEDED.value
            deployment.detail, deployment.remedy = said[:500], error.remedy
            deployment.save(update_fields=["model", "state", "detail", "remedy"])
    return JobFailed(said, error.code or "refused")


def _stop(deployment: Deployment) -> None:
    """Parks the job while it can't be told whether the platform made it, and while that can't be taken back yet."""
    try:
        take_back(deployment)
    except PlatformError as error:
        if error.retryable or error.status == BEING_MADE or isinstance(error, Unknown):
            raise _again(error) from error
        raise


def _conclude(ctx: JobContext, deployment: Deployment, status: DeploymentStatus) -> DeployResult:
    """Where a model answers only once it is deployed, comparing it was waiting for this."""
    run, before, wished = deployment.run, serves(deployment), deployment.model
    if before and status.word == "UpdateFailed":
        deployment.model = before
    values = {"model": deployment.model, "called": status.model or deployment.model, "state": State.SUCCEEDED.value}
    with ctx.batch():
        ctx.check()
        if not Deployment.objects.filter(pk=deployment.pk, model=wished, ended_at=None).update(**values):
            raise Again  # another model was wished for meanwhile
        if before != deployment.model:
            ServedModel.objects.create(deployment=deployment, model=deployment.model)
        waits = deployment.connection.kind in flow.DEPLOYED_FIRST and deployment.model == run.tuned_model
        if waits and not run.steps.filter(step=flow.RESULTS).exists():
            queue_evaluation(run, by=deployment.created_by)
    return DeployResult(model=deployment.model, called=values["called"])
