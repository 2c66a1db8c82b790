"""What adapters of AWS share: credentials, clients of boto3, and every failure as a PlatformError.

| what happened | reading, sampling | a call that spends or leaves something behind |
|---|---|---|
| no connection was made, no credentials | the failure as it is | the same: nothing was sent |
| AccessDenied | final, the missing policy as ``remedy`` | the same |
| throttled, another change going on | retryable | retryable: nothing was made |
| other 4xx | final | final |
| 409 without a known code, 5xx, time-out, dropped connection, unreadable answer | retryable | Unknown |
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import boto3
import botocore.config
import botocore.exceptions as raised
import botocore.loaders
import botocore.session
from botocore.credentials import AssumeRoleCredentialFetcher, Credentials, DeferredRefreshableCredentials
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from .aws_bounded import BoundedSession, TooLong, bounded
from .aws_policies import Place, assume_policy, text_of
from .errors import PlatformError, Unknown
from .pacing import Permit

#: Seconds. AWS asks for an hour where a Nova model thinks; everything else answers soon.
CONNECT_TIMEOUT = 10.0
CALL_TIMEOUT = 60.0
CONVERSE_TIMEOUT = 3600.0
#: An invocation of a function may last 15 minutes.
INVOKE_TIMEOUT = 910.0
_TIMEOUTS = {"bedrock-runtime": CONVERSE_TIMEOUT, "lambda": INVOKE_TIMEOUT}

DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403")
_BAD_KEYS = ("UnrecognizedClientException", "InvalidClientTokenId", "SignatureDoesNotMatch", "InvalidAccessKeyId",
             "InvalidSignatureException", "ExpiredToken", "ExpiredTokenException")  # fmt: skip
_BUSY = ("ThrottlingException", "TooManyRequestsException", "Throttling", "SlowDown", "RequestLimitExceeded",
         "ModelNotReadyException", "ResourceConflictException")  # fmt: skip
_NEVER_SENT = (raised.EndpointConnectionError, raised.ConnectTimeoutError, raised.ProxyConnectionError)
_UNCLEAR = (raised.HTTPClientError, raised.ConnectionError, raised.IncompleteReadError)
_SIGN_IN = (raised.NoCredentialsError, raised.PartialCredentialsError, raised.ProfileNotFound,
            raised.CredentialRetrievalError, raised.TokenRetrievalError)  # fmt: skip
_LONGEST_WORDS = 300
_ACCOUNT = re.compile(r":iam::(\d{12}):")
_ROLE_IN_WORDS = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")
_ROLE = r"^$|^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$"


class AwsCredentials(BaseModel):
    """Keys, or a profile of this server, or (with neither) what boto3 finds by itself; from there, if named, a role.

    ``endpoint_url``: an address that serves every service, such as an emulator's; '' is AWS itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    access_key_id: str = ""
    secret_access_key: SecretStr = SecretStr("")
    session_token: SecretStr = SecretStr("")
    profile: str = ""
    assume_role_arn: str = Field("", pattern=_ROLE)
    grader_role_arn: str = Field("", pattern=_ROLE)
    judge_role_arn: str = Field("", pattern=_ROLE)
    endpoint_url: str = Field("", pattern=r"^$|^https?://[^\s@]+$")

    @model_validator(mode="after")
    def _whole(self) -> AwsCredentials:
        if bool(self.access_key_id) != bool(self.secret_access_key.get_secret_value()):
            raise ValueError("an access key has two parts, the id and the secret; enter both or neither")
        if self.profile and self.access_key_id:
            raise ValueError("enter a profile or an access key, not both")
        return self

    @property
    def server_sign_in(self) -> bool:
        """Whether calls are made with what this server is signed in with: a profile, a role of its machine."""
        return not self.access_key_id


class Clients:
    """boto3's clients of one connection, each made once. Thread-safe.

    Never a second attempt by itself: the product decides what may be asked again. Neither bearer token nor address is
    taken from the environment, where they would silently go before what the connection says.
    """

    def __init__(self, credentials: AwsCredentials, label: str, call_timeout: float = CALL_TIMEOUT) -> None:
        self.region = credentials.region
        self._given = credentials
        self._call_timeout = call_timeout
        self._label = label
        self._lock = threading.Lock()
        self._session: boto3.Session | None = None
        self._clients: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                try:
                    self._clients[service] = self._made(service)
                except raised.BotoCoreError as error:
                    raise translate(error, platform=self._label, doing="signing in") from None
            return self._clients[service]

    def content(self, body: Any, doing: str) -> bytes:
        """The whole of a body that a call of a client gave to be read. Raises PlatformError."""
        try:
            return bounded(body)
        except Exception as error:
            raise translate(error, platform=self._label, doing=doing) from None

    def _made(self, service: str) -> Any:
        config = botocore.config.Config(
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=_TIMEOUTS.get(service, self._call_timeout),
            max_pool_connections=256 if service == "bedrock-runtime" else 50,
            auth_scheme_preference="sigv4,sigv4a",
            ignore_configured_endpoint_urls=True,
            request_checksum_calculation="when_required",
            s3={"addressing_style": "path"} if self._given.endpoint_url else {},
        )
        if self._session is None:
            self._session = self._signed_in(config)
        return _bounded(self._session.client(service, config=config, endpoint_url=self._given.endpoint_url or None))

    def _signed_in(self, config: Any) -> boto3.Session:
        given = self._given
        base = botocore.session.Session(profile=given.profile or None)
        base.register_component("data_loader", _loader())
        if given.access_key_id:
            token = given.session_token.get_secret_value() or None
            base.set_credentials(given.access_key_id, given.secret_access_key.get_secret_value(), token)
        if given.assume_role_arn:
            base._credentials = self._assumed(base, config)  # botocore has no other way in
        return boto3.Session(botocore_session=base, region_name=given.region)

    def _assumed(self, base: Any, config: Any) -> DeferredRefreshableCredentials:
        source: Credentials | None = base.get_credentials()
        if source is None:
            raise raised.NoCredentialsError()
        given = self._given

        def sts(service: str, **keys: Any) -> Any:
            where = {"region_name": given.region, "config": config, "endpoint_url": given.endpoint_url or None}
            return _bounded(base.create_client(service, **{**keys, **where}))

        fetcher = AssumeRoleCredentialFetcher(
            sts, source, given.assume_role_arn, extra_args={"RoleSessionName": "rft-studio"}
        )
        return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


def _bounded(client: Any) -> Any:
    endpoint = client._endpoint  # botocore has no other way in
    endpoint.http_session = BoundedSession(endpoint.http_session)
    return client


def place_of(given: AwsCredentials, *, bucket: str = "", job_role: str = "") -> Place:
    """Account, region and roles as the connection names them; the account is the roles' own where there are any."""
    account = _ACCOUNT.search(job_role or given.grader_role_arn or given.judge_role_arn or given.assume_role_arn)
    known = {"account": account[1]} if account else {}
    known |= {"bucket": bucket} if bucket else {}
    roles = {"job_role": job_role, "grader_role": given.grader_role_arn, "judge_role": given.judge_role_arn}
    return Place(region=given.region, **known, **roles)


@lru_cache(maxsize=1)
def _loader() -> Any:
    """The API descriptions (1 MB for Bedrock), read once per process."""
    return botocore.loaders.create_loader()


def told(call: Callable[[], Any], permit: Permit) -> Any:
    """What ``call`` answers, once its pace has been told of it."""
    try:
        answer = call()
    except raised.ClientError as error:
        _tell(permit, error.response)
        raise
    _tell(permit, answer)
    return answer


def _tell(permit: Permit, answer: Any) -> None:
    meta = answer.get("ResponseMetadata", {})
    busy = answer.get("Error", {}).get("Code", "") in _BUSY
    permit.answered(429 if busy else int(meta.get("HTTPStatusCode") or 0), meta.get("HTTPHeaders") or {})


def code_of(error: Exception) -> str:
    """AWS's own word for what went wrong, '' for failures of another kind."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, raised.ClientError) else ""


def words_of(error: Exception) -> str:
    """AWS's sentence, on one line and not too long."""
    said = error.response.get("Error", {}).get("Message") if isinstance(error, raised.ClientError) else str(error)
    return re.sub(r"\s+", " ", str(said or type(error).__name__)).strip().rstrip(".")[:_LONGEST_WORDS]


def translate(
    error: Exception, *, platform: str, doing: str, spending: bool = False, remedy: str = ""
) -> PlatformError:
    """``doing`` completes "… while …"; ``remedy`` is what would help where access was denied."""
    if isinstance(error, PlatformError):
        return error
    if isinstance(error, raised.ClientError):
        return _of_answer(error, platform, doing, spending, remedy)
    if isinstance(error, _SIGN_IN):
        return PlatformError(
            f"{platform}: no usable AWS credentials ({words_of(error)}); enter keys, or sign this server in to AWS.",
            code=type(error).__name__,
        )
    if isinstance(error, _NEVER_SENT):
        return PlatformError(
            f"{platform} can't be reached: check the region, the address and the network.", retryable=True
        )
    if isinstance(error, raised.ReadTimeoutError):
        return _unclear(f"{platform} did not answer in time while {doing}.", spending)
    if isinstance(error, TooLong):
        return _unclear(f"{platform} sent an answer that is too long to be read while {doing}.", spending)
    if isinstance(error, _UNCLEAR):
        return _unclear(f"The connection to {platform} broke while {doing}.", spending)
    if isinstance(error, raised.BotoCoreError):  # found before anything was sent
        return PlatformError(f"{platform} does not take this while {doing}: {words_of(error)}.", status=400)
    return _unclear(f"{platform} sent an answer that can't be read while {doing}.", spending)


def _of_answer(error: raised.ClientError, platform: str, doing: str, spending: bool, remedy: str) -> PlatformError:
    code, words = code_of(error), words_of(error)
    meta = error.response.get("ResponseMetadata", {})
    status = meta.get("HTTPStatusCode")
    known: dict[str, Any] = {"code": code, "status": status}
    if code in _BAD_KEYS:
        return PlatformError(f"AWS does not accept these credentials: {words}.", **known)
    if code in DENIED and error.operation_name == "AssumeRole":
        role = _ROLE_IN_WORDS.search(words)
        sentence = (
            "AWS does not let these keys take on the role: they need the policy below, and the role must trust them."
        )
        remedy = text_of(assume_policy(role[0] if role else "ARN-OF-THE-ROLE"))
        return PlatformError(f"{sentence} AWS says: {words}.", remedy=remedy, **known)
    if code in DENIED:
        sentence = f"AWS denies access while {doing}: {words}."
        return PlatformError(sentence + (" The policy below would allow it." if remedy else ""), remedy=remedy, **known)
    if code in _BUSY or status == 429:
        wait = meta.get("HTTPHeaders", {}).get("retry-after", "")
        after = float(wait) if re.fullmatch(r"\d+(\.\d+)?", wait) else None
        return PlatformError(f"{platform} is busy while {doing}: {words}.", retryable=True, retry_after=after, **known)
    if code == "ServiceQuotaExceededException":
        return PlatformError(f"A quota of your AWS account is used up while {doing}: {words}.", **known)
    if status is not None and 400 <= status < 500 and status not in (408, 409, 424):
        return PlatformError(f"{platform} refused this while {doing}: {words}.", **known)
    return _unclear(f"{platform} failed while {doing}: {words}.", spending, **known)


def _unclear(sentence: str, spending: bool, **known: Any) -> PlatformError:
    return Unknown(sentence, retryable=True, **known) if spending else PlatformError(sentence, retryable=True, **known)
