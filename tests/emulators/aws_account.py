"""S3, IAM, STS and the keeping of Lambda functions, by moto; what a Bedrock emulator forwards and looks up there."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import logging
import zipfile
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from .wire import Answer, Request

ACCOUNT = "123456789012"
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect", "date", "server"}


@lru_cache(maxsize=1)
def _port() -> int:
    """One server for the process: it takes a second to start."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    return int(server.get_host_and_port()[1])


class AwsAccount:
    """An account with a bucket and three roles, named by its ``owner`` and so the same at every start.

    All emulators of a process share moto.
    """

    def __init__(self, region: str, owner: str) -> None:
        self.region = region
        ending = hashlib.sha256(f"{owner} {region}".encode()).hexdigest()[:12]
        self.bucket = f"rft-{ending}"
        self.s3, self.iam = self._client("s3"), self._client("iam")
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        with suppress(self.s3.exceptions.BucketAlreadyOwnedByYou):
            self.s3.create_bucket(Bucket=self.bucket, **place)
        self.job_role = self.role(f"RftJob-{ending}", "bedrock.amazonaws.com")
        self.grader_role = self.role(f"RftGrader-{ending}", "lambda.amazonaws.com")
        self.judge_role = self.role(f"RftJudge-{ending}", "lambda.amazonaws.com")

    def _client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{_port()}",
            region_name=self.region,
            aws_access_key_id="emulated",
            aws_secret_access_key="emulated",
            config=Config(s3={"addressing_style": "path"}, ignore_configured_endpoint_urls=True),
        )

    def role(self, name: str, service: str) -> str:
        trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        with suppress(self.iam.exceptions.EntityAlreadyExistsException):
            self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
        return str(self.iam.get_role(RoleName=name)["Role"]["Arn"])

    def trusted(self, role: str, service: str) -> bool:
        try:
            document = self.iam.get_role(RoleName=role.rpartition("/")[2])["Role"]["AssumeRolePolicyDocument"]
        except ClientError:
            return False
        return any(service == statement["Principal"].get("Service") for statement in document["Statement"])

    def object(self, bucket: str, key: str) -> bytes | None:
        try:
            return bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        except ClientError:
            return None

    def has_bucket(self, name: str) -> bool:
        return any(bucket["Name"] == name for bucket in self.s3.list_buckets()["Buckets"])

    def function(self, name: str) -> Any:
        """moto's own record of a function by its ARN or name, with or without version; None where there is none."""
        from moto.backends import get_backend

        bare, _, version = name.rpartition(":") if name.count(":") == 7 else (name, "", None)
        backend: Any = get_backend("lambda")[ACCOUNT][self.region]
        try:
            return backend.get_function(bare.rpartition(":")[2], qualifier=version)
        except Exception:
            return None

    def forward(self, request: Request) -> Answer:
        """The request as it is, answered by moto."""
        connection = http.client.HTTPConnection("127.0.0.1", _port(), timeout=30)
        path = "/" + "/".join(quote(part, safe="") for part in request.parts)
        query = f"?{urlencode(request.query)}" if request.query else ""
        headers = {k: v for k, v in request.headers.items() if k not in _HOP_BY_HOP or k == "date"}
        try:
            connection.request(request.method, path + query, body=request.content, headers=headers)
            answer = connection.getresponse()
            kept = {k.lower(): v for k, v in answer.getheaders() if k.lower() not in _HOP_BY_HOP}
            return Answer(answer.status, answer.read(), kept)
        finally:
            connection.close()


def zipped(source: str) -> bytes:
    """A function of one file."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as packed:
        packed.writestr("lambda_function.py", source)
    return target.getvalue()
