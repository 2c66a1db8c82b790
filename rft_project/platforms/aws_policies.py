"""The IAM policies this product needs on AWS, as small as they can be, for one account, region, bucket and its roles.

Pure: what is printed on a page, in the documentation and by the check of a connection comes from here.
"""

from __future__ import annotations

import json

from .types import JsonDict, Value

#: What functions of graders are called, and where their runs' files lie in the bucket: the policies name both.
FUNCTION_PREFIX = "rft-"
FOLDER = "rft-studio"
_VERSION = "2012-10-17"


class Place(Value):
    """Where everything is. Empty roles and bucket are written as placeholders to fill in."""

    account: str = "123456789012"
    region: str = "us-east-1"
    bucket: str = "YOUR-BUCKET"
    job_role: str = ""
    grader_role: str = ""
    judge_role: str = ""

    @property
    def function(self) -> str:
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{FUNCTION_PREFIX}*"

    @property
    def logs(self) -> str:
        return f"arn:aws:logs:{self.region}:{self.account}:log-group:/aws/lambda/{FUNCTION_PREFIX}*"

    def bedrock(self, resource: str) -> str:
        return f"arn:aws:bedrock:{self.region}:{self.account}:{resource}"

    def role(self, arn: str, name: str) -> str:
        return arn or f"arn:aws:iam::{self.account}:role/{name}"


def text_of(policy: JsonDict) -> str:
    return json.dumps(policy, indent=2)


def app_policy(place: Place) -> JsonDict:
    """For the keys, profile or role this product signs in with, to train and deploy with Bedrock's own API."""
    return _policy(
        _allow(
            ["CreateModelCustomizationJob", "GetModelCustomizationJob", "StopModelCustomizationJob",
             "CreateCustomModelDeployment", "GetCustomModelDeployment", "UpdateCustomModelDeployment",
             "DeleteCustomModelDeployment", "TagResource"],
            [f"arn:aws:bedrock:{place.region}::foundation-model/*",
             *(place.bedrock(f"{kind}/*")
               for kind in ("model-customization-job", "custom-model", "custom-model-deployment"))],
            "bedrock",
        ),
        _allow(["ListFoundationModels"], "*", "bedrock"),
        _allow(
            ["InvokeModel"],
            ["arn:aws:bedrock:*::foundation-model/*", place.bedrock("inference-profile/*"),
             place.bedrock("custom-model-deployment/*")],
            "bedrock",
        ),
        _allow(["ListBucket"], [f"arn:aws:s3:::{place.bucket}"], "s3"),
        _allow(["GetObject", "PutObject", "DeleteObject"], [f"arn:aws:s3:::{place.bucket}/{FOLDER}/*"], "s3"),
        _functions(place),
        _allow(["FilterLogEvents"], [place.logs], "logs"),
        _allow(["GetRole"], [place.role(place.job_role, "RftJob"), *_grader_roles(place)], "iam"),
        _pass([place.role(place.job_role, "RftJob")], "bedrock.amazonaws.com"),
        _pass(_grader_roles(place), "lambda.amazonaws.com"),
    )  # fmt: skip


def publisher_policy(place: Place) -> JsonDict:
    """What publishing a grader's function and reading its log takes, and nothing else."""
    return _policy(
        _functions(place),
        _allow(["FilterLogEvents"], [place.logs], "logs"),
        _pass(_grader_roles(place), "lambda.amazonaws.com"),
    )


def key_policy(place: Place) -> JsonDict:
    """For the owner of a Bedrock API key, who also invokes graders: a job calls the function with the owner's rights.

    AWS does not say which of these actions can be narrowed to a resource.
    """
    actions = ["CallWithBearerToken", "CreateFile", "ListFiles", "DeleteFile", "CreateFineTuningJob",
               "GetFineTuningJob", "ListFineTuningJobs", "CancelFineTuningJob", "CreateInference", "GetModel",
               "GetCustomizedModel"]  # fmt: skip
    return _policy(_allow(actions, "*", "bedrock-mantle"), _allow(["InvokeFunction"], [place.function], "lambda"))


def assume_policy(role: str) -> JsonDict:
    """For keys that take on ``role``, which holds the other policy."""
    return _policy(_allow(["AssumeRole"], [role], "sts"))


def job_trust(place: Place) -> JsonDict:
    """Bedrock may take on the job role, for jobs of this account only."""
    condition = {
        "StringEquals": {"aws:SourceAccount": place.account},
        "ArnLike": {"aws:SourceArn": place.bedrock("model-customization-job/*")},
    }
    return _policy({**_trusted("bedrock.amazonaws.com"), "Condition": condition})


def job_policy(place: Place) -> JsonDict:
    """The job reads the rows, writes what it has to say beside them, and calls the grader."""
    return _policy(
        _allow(["ListBucket"], [f"arn:aws:s3:::{place.bucket}"], "s3"),
        _allow(["GetObject", "PutObject"], [f"arn:aws:s3:::{place.bucket}/{FOLDER}/*"], "s3"),
        _allow(["InvokeFunction"], [place.function], "lambda"),
    )


def grader_trust() -> JsonDict:
    """Lambda may take on a grader's role."""
    return _policy(_trusted("lambda.amazonaws.com"))


def grader_policy(place: Place) -> JsonDict:
    """A grader's function may write its log and nothing else: it may hold code that somebody else wrote."""
    actions = ["CreateLogGroup", "CreateLogStream", "PutLogEvents"]
    return _policy(_allow(actions, [place.logs, f"{place.logs}:*"], "logs"))


def judge_policy(place: Place) -> JsonDict:
    """A function that asks a judge may also call models. Name the judge's model alone where you know it."""
    logs: JsonDict = grader_policy(place)["Statement"][0]
    models = ["arn:aws:bedrock:*::foundation-model/*", place.bedrock("inference-profile/*")]
    return _policy(logs, _allow(["InvokeModel"], models, "bedrock"))


def _grader_roles(place: Place) -> list[str]:
    return [place.role(place.grader_role, "RftGrader"), *([place.judge_role] if place.judge_role else [])]


def _functions(place: Place) -> JsonDict:
    """A function is made with a tag and published in one call; AWS does not say whether that needs PublishVersion."""
    actions = ["CreateFunction", "UpdateFunctionCode", "GetFunctionConfiguration", "ListVersionsByFunction",
               "PublishVersion", "InvokeFunction", "DeleteFunction", "TagResource"]  # fmt: skip
    return _allow(actions, [place.function], "lambda")


def _pass(roles: list[str], service: str) -> JsonDict:
    return {**_allow(["PassRole"], roles, "iam"), "Condition": {"StringEquals": {"iam:PassedToService": service}}}


def _trusted(service: str) -> JsonDict:
    return {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}


def _allow(actions: list[str], resources: list[str] | str, service: str) -> JsonDict:
    return {"Effect": "Allow", "Action": [f"{service}:{action}" for action in actions], "Resource": resources}


def _policy(*statements: JsonDict) -> JsonDict:
    return {"Version": _VERSION, "Statement": list(statements)}
