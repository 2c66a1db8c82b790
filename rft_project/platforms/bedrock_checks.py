"""What a Bedrock connection needs in its account, looked at one by one; what is missing comes with a policy to copy."""

from __future__ import annotations

import json
from typing import Any

from . import aws_policies as policies
from .aws import Clients, code_of, translate
from .errors import PlatformError
from .types import JsonDict


class AccountCheck:
    """``run()`` raises PlatformError for the first thing that is missing."""

    def __init__(self, clients: Clients, label: str, place: policies.Place) -> None:
        self._clients = clients
        self._label = label
        self._place = place

    def run(self, *, job_role: str, grader_role: str, judge_role: str, bucket: str) -> None:
        account = self.account()
        self._place = self._place.model_copy(update={"account": account})
        self._call("listing models", "bedrock", "list_foundation_models", byProvider="Amazon")
        if bucket:
            self._bucket(bucket)
        place = self._place
        if job_role:
            self._role(job_role, "bedrock.amazonaws.com", policies.job_trust(place), policies.job_policy(place))
        if grader_role:
            self._role(grader_role, "lambda.amazonaws.com", policies.grader_trust(), policies.grader_policy(place))
        if judge_role:
            self._role(judge_role, "lambda.amazonaws.com", policies.grader_trust(), policies.judge_policy(place))

    def account(self) -> str:
        """The account that the credentials belong to."""
        return str(self._call("asking AWS who we are", "sts", "get_caller_identity")["Account"])

    def _bucket(self, name: str) -> None:
        try:
            found = self._clients("s3").head_bucket(Bucket=name)
        except Exception as error:
            if code_of(error) in ("404", "NoSuchBucket"):
                region = self._clients.region
                raise PlatformError(
                    f"There is no bucket {name}; make it in {region}.",
                    status=404,
                    remedy=f"aws s3api create-bucket --bucket {name} --region {region}",
                ) from None
            if code_of(error) in ("301", "PermanentRedirect"):
                raise self._elsewhere(name, "another region") from None
            raise self._failure(error, f"looking at the bucket {name}") from None
        region = found.get("BucketRegion") or self._clients.region
        if region != self._clients.region:
            raise self._elsewhere(name, region)

    def _elsewhere(self, bucket: str, region: str) -> PlatformError:
        return PlatformError(
            f"The bucket {bucket} is in {region}; training in {self._clients.region} needs one there.", status=400
        )

    def _role(self, arn: str, service: str, trust: JsonDict, policy: JsonDict) -> None:
        name = arn.rpartition("/")[2]
        wanted = f"Trust policy:\n{policies.text_of(trust)}\n\nPermissions:\n{policies.text_of(policy)}"
        try:
            role = self._clients("iam").get_role(RoleName=name)["Role"]
        except Exception as error:
            if code_of(error) == "NoSuchEntity":
                raise PlatformError(
                    f"There is no role {name}; make it with the policies below.", status=404, remedy=wanted
                ) from None
            raise self._failure(error, f"looking at the role {name}") from None
        if role["Arn"] != arn:
            raise PlatformError(f"The role {arn} is not in this account: AWS knows {role['Arn']}.", status=404)
        if not _trusts(role.get("AssumeRolePolicyDocument"), service):
            raise PlatformError(
                f"The role {name} does not trust {service}; give it the trust policy below.",
                status=403,
                remedy=policies.text_of(trust),
            )

    def _call(self, doing: str, service: str, operation: str, **arguments: Any) -> Any:
        try:
            return getattr(self._clients(service), operation)(**arguments)
        except Exception as error:
            raise self._failure(error, doing) from None

    def _failure(self, error: Exception, doing: str) -> PlatformError:
        remedy = policies.text_of(policies.app_policy(self._place))
        return translate(error, platform=self._label, doing=doing, remedy=remedy)


def _trusts(document: Any, service: str) -> bool:
    """Whether a trust policy lets ``service`` take on the role, whatever its conditions say."""
    found = json.loads(document) if isinstance(document, str) else document
    statements = (found or {}).get("Statement") or []
    for statement in statements if isinstance(statements, list) else [statements]:
        named = statement.get("Principal") or {}
        services = named.get("Service", []) if isinstance(named, dict) else []
        actions = statement.get("Action")
        allowed = statement.get("Effect") == "Allow" and "sts:AssumeRole" in (
            actions if isinstance(actions, list) else [actions]
        )
        if allowed and service in (services if isinstance(services, list) else [services]):
            return True
    return False
