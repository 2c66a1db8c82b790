"""Deployments of tuned models: made, looked at, changed and deleted. They cost by use, not by the hour."""

from __future__ import annotations

import hashlib
from typing import Any

from .bedrock_values import deployment_name, deployment_status, short
from .errors import PlatformError
from .journal import UNKEPT, Journal, Send, taken
from .types import DeploymentStatus, DeployRequest, Handle, State

_ARN = "customModelDeploymentArn"


class BedrockDeployments:
    """Part of the adapter that deploys. What it is mixed into has ``_call``."""

    _call: Any

    def deploy(self, request: DeployRequest, journal: Journal = UNKEPT) -> Handle:
        name = deployment_name(request.key, request.name)

        def prepare() -> Send:
            return lambda: self._deployed(name, request)

        content = hashlib.sha256(f"{name}\n{request.model}".encode()).hexdigest()
        made = journal.once("deploy", content, prepare=prepare, find=lambda: self._called(name), discard=self._deleted)
        return Handle(id=made, kind="deployment")

    def deployment(self, handle: Handle) -> DeploymentStatus:
        try:
            return deployment_status(self._deployment(handle.id))
        except PlatformError as error:
            if error.status != 404:
                raise
            return DeploymentStatus(state=State.FAILED, word="missing", detail=str(error), model=handle.id)

    def undeploy(self, handle: Handle) -> None:
        self._deleted(handle.id)

    def promote(self, handle: Handle, model: str) -> None:
        found = self._deployment(handle.id)
        update = found.get("updateDetails") or {}
        failed = update.get("updateStatus") == "UpdateFailed"  # then the model before is still there
        behind = found["modelArn"] if failed else update.get("modelArn") or found["modelArn"]
        if behind == model:
            return
        self._call(
            "putting another model behind the deployment",
            "bedrock",
            "update_custom_model_deployment",
            customModelDeploymentIdentifier=handle.id,
            modelArn=model,
        )

    def _deployed(self, name: str, request: DeployRequest) -> str:
        try:
            made = self._call(
                "deploying",
                "bedrock",
                "create_custom_model_deployment",
                spending=True,
                wants=(_ARN,),
                modelDeploymentName=name,
                modelArn=request.model,
                clientRequestToken=short(request.key),
                tags=[{"key": "app", "value": "rft-studio"}],
            )
        except PlatformError as error:
            if error.code not in ("ConflictException", "ResourceInUseException"):
                raise
            return taken(error, lambda: self._called(name))
        return str(made[_ARN])

    def _called(self, name: str) -> list[str]:
        try:
            return [str(self._deployment(name)[_ARN])]
        except PlatformError as error:
            if error.status == 404:
                return []
            raise

    def _deployment(self, name: str) -> dict[str, Any]:
        doing, operation = "looking at the deployment", "get_custom_model_deployment"
        wants = (_ARN, "modelArn", "status")
        return dict(self._call(doing, "bedrock", operation, wants=wants, customModelDeploymentIdentifier=name))

    def _deleted(self, name: str) -> None:
        try:
            operation = "delete_custom_model_deployment"
            self._call("undeploying", "bedrock", operation, customModelDeploymentIdentifier=name)
        except PlatformError as error:
            if error.status != 404:
                raise
