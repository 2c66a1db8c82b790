"""Deployments of one Azure account over the management API (ARM): plain HTTP, every failure a PlatformError.

| what happened | reading, deleting | making a deployment |
|---|---|---|
| no connection was made, no token | the failure as it is | the same: nothing was sent |
| 400, 401, 403, 404 and others of the kind | final, with what would help | the same |
| 409, 429 | retryable: another change is going on | the same: nothing was made |
| 408, 5xx, time-out, dropped connection, unreadable answer | retryable | Unknown |
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

from .azure_sign_in import Token
from .errors import PlatformError, Unknown
from .openai_errors import scrubbed
from .rates import retry_after_of
from .types import JsonDict, Value

#: Version of the management API: the default of azure-mgmt-cognitiveservices 14.1.0.
API_VERSION = "2025-09-01"
#: The permission that deploying needs; reading and deleting have their own beside it.
WRITE = "Microsoft.CognitiveServices/accounts/deployments/write"
#: Seconds to wait while Azure works on another change of the account.
BUSY = 20.0

_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_ACTION = re.compile(r"action '([^']+)'")
_OBJECT = re.compile(r"object id '([0-9a-fA-F-]{36})'")
_MOST_PAGES = 50


class Account(Value):
    """Where deployments are made. ``root``: scheme and host of the management API."""

    root: str
    subscription: str
    resource_group: str
    name: str

    @property
    def id(self) -> str:
        """Its resource id, which is also the scope of role assignments."""
        group = f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
        return f"{group}/providers/Microsoft.CognitiveServices/accounts/{self.name}"


class Deployments:
    """Makes, reads and deletes the deployments of ``account``. Thread-safe."""

    def __init__(self, account: Account, token: Token, http: httpx2.Client, timeout: float) -> None:
        self._account = account
        self._token = token
        self._http = http
        self._timeout = timeout

    def put(self, name: str, body: JsonDict) -> JsonDict:
        """Make the deployment ``name``; sent again with the same name it makes no second one. Raises Unknown where it
        can't be told whether it took effect."""
        return self._call("PUT", self._url(name), "making the deployment", body, spending=True)

    def get(self, name: str) -> JsonDict | None:
        """The deployment as ARM describes it; None where there is none."""
        try:
            return self._call("GET", self._url(name), "reading the deployment")
        except PlatformError as error:
            if error.status != 404:
                raise
            return None

    def delete(self, name: str) -> None:
        """Idempotent."""
        try:
            self._call("DELETE", self._url(name), "deleting the deployment")
        except PlatformError as error:
            if error.status != 404:
                raise

    def all(self) -> list[JsonDict]:
        return list(self._pages())

    def _pages(self) -> Iterator[JsonDict]:
        url = self._url("")
        for _ in range(_MOST_PAGES):
            page = self._call("GET", url, "listing deployments")
            items = page.get("value")
            if not isinstance(items, list):
                raise _unclear("Azure sent an answer that can't be read while listing deployments.", False)
            yield from (item for item in items if isinstance(item, dict))
            url = str(page.get("nextLink") or "")
            if not url:
                return
            if urlsplit(url)[:2] != urlsplit(self._account.root)[:2]:
                raise PlatformError("Azure's list of deployments leads to another host, which is not followed.")
        raise PlatformError("Azure sent an endless list while listing deployments.")

    def _url(self, name: str) -> str:
        ending = f"/{quote(name, safe='')}" if name else ""
        return f"{self._account.root}{self._account.id}/deployments{ending}?api-version={API_VERSION}"

    def _call(
        self, method: str, url: str, doing: str, body: JsonDict | None = None, *, spending: bool = False
    ) -> JsonDict:
        headers = {"authorization": f"Bearer {self._token()}", "accept": "application/json"}
        timeout = httpx2.Timeout(self._timeout, connect=10.0)
        try:
            response = self._http.request(method, url, headers=headers, json=body, timeout=timeout)
        except _NEVER_SENT:
            sentence = "Azure's management API can't be reached: check the network."
            raise PlatformError(sentence, retryable=True) from None
        except httpx2.TimeoutException:
            raise _unclear(f"Azure did not answer in time while {doing}.", spending) from None
        except httpx2.HTTPError:
            raise _unclear(f"The connection to Azure broke while {doing}.", spending) from None
        if response.status_code >= 300:
            raise self._refusal(response, doing, spending)
        try:
            answer = json.loads(response.content or b"{}")
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise _unclear(f"Azure sent an answer that can't be read while {doing}.", spending)
        return answer

    def _refusal(self, response: httpx2.Response, doing: str, spending: bool) -> PlatformError:
        status, (code, words) = response.status_code, _error_of(response)
        wait = retry_after_of(response.headers)
        if status in (401, 403):
            sentence = f"Azure does not allow {doing}: {words}"
            return PlatformError(sentence, code=code, status=status, remedy=self._role(words))
        if status in (409, 429):
            sentence = f"Azure is busy with another change: {words}"
            return PlatformError(sentence, retryable=True, retry_after=wait or BUSY, code=code, status=status)
        if status == 408 or status >= 500:
            return _unclear(f"Azure failed while {doing} (HTTP {status}): {words}", spending, code, status, wait)
        if status < 400:
            return PlatformError("Azure answered with a redirect, which is not followed.", code=code, status=status)
        return PlatformError(f"Azure refused {doing}: {words}", code=code, status=status)

    def _role(self, words: str) -> str:
        """A command that gives the identity the role it lacks, and the one permission for a role of one's own."""
        action, who = _ACTION.search(words), _OBJECT.search(words)
        return (
            f"# Missing: {action[1] if action else WRITE}\n"
            f'az role assignment create --role "Foundry Owner" \\\n'
            f"  --assignee {who[1] if who else '<object id of the identity this server signs in with>'} \\\n"
            f"  --scope {self._account.id}"
        )


def _error_of(response: httpx2.Response) -> tuple[str, str]:
    """ARM's error code and message, the message as one line that ends like a sentence."""
    try:
        body: Any = json.loads(response.content)
    except (ValueError, RecursionError):
        body = None
    error = body.get("error", body) if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {}
    return str(error.get("code") or ""), scrubbed(str(error.get("message") or "it gave no reason."), "")


def _unclear(
    sentence: str, spending: bool, code: str = "", status: int | None = None, wait: float | None = None
) -> PlatformError:
    kind = Unknown if spending else PlatformError
    return kind(sentence, retryable=True, retry_after=wait, code=code, status=status)
