"""Rights at AWS: the printed policies are enough and nothing more, and a check says what is missing."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from graders_app.core.compiling import lambda_zip
from rft_project.platforms import PlatformError, Unknown, build
from rft_project.platforms import aws_policies as policies
from rft_project.platforms.bedrock import BedrockPlatform
from rft_project.platforms.types import DeployRequest
from tests.emulators.aws_wire import session_of
from tests.engine.process import EXACT

from .test_bedrock_aws import SHORT, ask, emulator, ended, package, platform, request_for

__all__ = ["emulator", "package", "platform", "request_for"]


def allowed_by(policy: dict[str, Any]) -> set[str]:
    return {action for statement in policy["Statement"] for action in statement["Action"]}


class TestPolicies:
    def test_they_are_enough_and_nothing_more(self, platform, emulator, request_for) -> None:
        """Everything a connection does, under the policies that are printed for it."""
        account = emulator.account
        emulator.metric_file = "step,critic/rewards/mean\n1,0.5\n"
        platform.check()
        request = request_for()
        never = {**EXACT, "reference": "something nobody says"}
        with pytest.raises(PlatformError, match="gave no reward"):  # published, tried, and mended below
            platform.start_training(request.model_copy(update={"grader": never, "grader_package": lambda_zip(never)}))
        handle = platform.start_training(request)
        model = ended(platform, handle).model
        assert platform.events(handle).events
        deployment = platform.deploy(DeployRequest(key="d", model=model))
        platform.deployment(deployment)
        platform.promote(deployment, ended(platform, platform.start_training(request_for())).model)
        platform.sample(ask(deployment.id))
        platform.sample(ask())
        platform.embed(["a"])
        platform.undeploy(deployment)
        platform.clean_up(request.key)
        emulator.step_seconds = 0.1
        platform.cancel_training(platform.start_training(request_for(hyperparameters={**SHORT, "epochCount": 50})))
        unproven = {"lambda:PublishVersion"}
        assert emulator.needed[emulator.key] == allowed_by(emulator.policies[emulator.key]) - unproven
        for role in (account.job_role, account.grader_role):
            key = session_of(role)
            assert emulator.needed[key] == allowed_by(emulator.policies[key])

    def test_a_judge_is_asked_under_its_own_role(self, platform, emulator, request_for) -> None:
        judge = {"type": "score_model", "name": "j", "model": "us.amazon.nova-2-lite-v1:0", "range": [0, 1],
                 "input": [{"role": "user", "content": "gold: {{item.reference_answer}}"}]}  # fmt: skip
        with pytest.raises(PlatformError, match="gave no reward"):  # it was asked, and said 0
            platform.start_training(request_for(grader=judge, grader_package=lambda_zip(judge)))
        key = session_of(emulator.account.judge_role)
        assert emulator.needed[key] == allowed_by(emulator.policies[key])
        del emulator.policies[key]["Statement"][1]
        with pytest.raises(PlatformError, match="The grader failed on 10 of 10 rows"):
            platform.start_training(request_for(grader=judge, grader_package=lambda_zip(judge)))

    def test_a_job_under_a_role_that_may_not_read_is_refused(self, platform, emulator, request_for) -> None:
        emulator.policies[session_of(emulator.account.job_role)]["Statement"].pop(1)
        with pytest.raises(PlatformError, match=r"is not authorized to perform: s3:GetObject on resource: .*/train-"):
            platform.start_training(request_for())


class TestChecking:
    @pytest.mark.parametrize(
        "action", ["bedrock:ListFoundationModels", "s3:ListBucket", "iam:GetRole", "lambda:CreateFunction",
                   "s3:PutObject", "bedrock:CreateModelCustomizationJob", "lambda:InvokeFunction", "lambda:TagResource",
                   "iam:PassRole"]
    )  # fmt: skip
    def test_a_missing_right_comes_with_the_policy(self, platform, emulator, request_for, action) -> None:
        emulator.denied = {action}
        with pytest.raises(PlatformError) as denied:
            platform.check()
            platform.start_training(request_for())
        assert not isinstance(denied.value, Unknown)
        assert denied.value.status == 403
        policy = json.loads(denied.value.remedy)
        allowed = [name for statement in policy["Statement"] for name in statement["Action"]]
        assert action in allowed
        assert f"arn:aws:s3:::{emulator.account.bucket}" in denied.value.remedy
        assert "arn:aws:lambda:us-east-1:123456789012:function:rft-*" in denied.value.remedy

    def test_roles_that_are_not_there_or_trust_nobody(self, emulator) -> None:
        emulator.policies.clear()  # the printed policy names the roles that are there
        missing = emulator.account.job_role + "x"
        with pytest.raises(PlatformError, match=r"There is no role .*; make it with the policies below\.") as gone:
            build("bedrock", {**emulator.credentials, "job_role_arn": missing}).check()
        assert "model-customization-job/*" in gone.value.remedy
        with pytest.raises(PlatformError, match=r"does not trust bedrock\.amazonaws\.com") as wrong:
            build("bedrock", {**emulator.credentials, "job_role_arn": emulator.account.grader_role}).check()
        assert json.loads(wrong.value.remedy)["Statement"][0]["Principal"] == {"Service": "bedrock.amazonaws.com"}

    def test_a_bucket_that_is_not_there(self, emulator) -> None:
        emulator.policies.clear()
        with pytest.raises(PlatformError, match="There is no bucket no-such-bucket-here"):
            build("bedrock", {**emulator.credentials, "bucket": "no-such-bucket-here"}).check()

    def test_wrong_keys_are_not_repeated(self, emulator) -> None:
        wrong = {**emulator.credentials, "access_key_id": "AKIAWRONG", "secret_access_key": "very-secret"}
        with pytest.raises(PlatformError) as refusal:
            build("bedrock", wrong).check()
        assert str(refusal.value) == (
            "AWS does not accept these credentials: The security token included in the request is invalid."
        )

    def test_a_connection_for_asking_only(self, emulator) -> None:
        only = {
            name: emulator.credentials[name]
            for name in ("region", "access_key_id", "secret_access_key", "endpoint_url")
        }
        platform = build("bedrock", only)
        platform.check()
        found = platform.capabilities()
        assert (found.sample, found.train) == (True, False)
        assert found.notice == "To train, this connection still needs a bucket and a job role and a grader role."

    def test_a_role_taken_on(self, emulator) -> None:
        role = emulator.account.role(f"App-{time.time_ns()}", "lambda.amazonaws.com")
        platform = build("bedrock", {**emulator.credentials, "assume_role_arn": role})
        with pytest.raises(PlatformError, match="AWS does not let these keys take on the role: ") as refusal:
            platform.check()
        allowed = policies.assume_policy(role)
        assert (refusal.value.status, json.loads(refusal.value.remedy)) == (403, allowed)
        emulator.policies[emulator.key] = allowed
        platform.check()
        assert emulator.needed[emulator.key] == {"sts:AssumeRole"}
        assert len(emulator.needed) == 2

    @pytest.mark.parametrize(("change", "own"), [({}, False), ({"access_key_id": "", "secret_access_key": ""}, True)])
    def test_who_signs_in(self, emulator, change, own) -> None:
        checked = BedrockPlatform.credentials.model_validate({**emulator.credentials, **change})
        assert checked.server_sign_in is own
