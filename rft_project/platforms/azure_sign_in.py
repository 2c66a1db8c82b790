"""Microsoft Entra tokens for Azure, from what this server is signed in with.

A token of the server opens what the server may open, so it goes to Azure's own hosts and to this machine (where an
emulator may stand), never to another address somebody entered. Tokens are kept in memory only and never logged.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from azure.identity import DefaultAzureCredential, get_bearer_token_provider

from .errors import PlatformError

#: Audiences of a resource's endpoint, of a project's, and of the management API.
RESOURCE = "https://cognitiveservices.azure.com/.default"
PROJECT = "https://ai.azure.com/.default"
MANAGEMENT = "https://management.azure.com/.default"

Token = Callable[[], str]

_HOSTS = (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")
#: Beginnings of the environment variables that decide how ``DefaultAzureCredential`` signs in.
_VARIABLES = ("AZURE_", "IDENTITY_", "IMDS_", "MSI_")
_REMEDY = """\
# Either sign in the account this server runs under:
az login
# or give the web and the worker process a service principal in their environment:
AZURE_TENANT_ID=<directory (tenant) id>
AZURE_CLIENT_ID=<application (client) id>
AZURE_CLIENT_SECRET=<client secret>"""


def may_receive(address: str) -> bool:
    """Whether a token of this server may be sent to ``address``: Azure over TLS, or this machine."""
    parts = urlsplit(address)
    host = (parts.hostname or "").lower()
    return is_loopback(address) or (parts.scheme == "https" and host.endswith(_HOSTS))


def is_loopback(address: str) -> bool:
    host = (urlsplit(address).hostname or "").lower()
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def token_for(scope: str, *, needed_to: str = "") -> Token:
    """A function that gives a token for ``scope``, a new one before the last expires. ``needed_to``: what it alone
    opens, where a key opens the rest.

    It raises PlatformError with status 401 where the server is not signed in; nothing was sent to the platform then.
    """

    def token() -> str:
        try:
            return _provider(scope, os.getpid(), _surroundings())()
        except (ServiceRequestError, ServiceResponseError):
            sentence = "Microsoft's sign-in can't be reached, so nothing was sent: check the network."
            raise PlatformError(sentence, retryable=True) from None
        except (AzureError, ValueError):
            # Its text lists every way that was tried, over many lines.
            sentence = "This server is not signed in to Azure, so nothing was sent: sign it in, or enter a key."
            if needed_to:
                sentence = (
                    f"This server is not signed in to Azure, which it needs to {needed_to}: sign it in, or leave "
                    "subscription, resource group and account empty."
                )
            raise PlatformError(sentence, code="not_signed_in", status=401, remedy=_REMEDY) from None

    return token


def _surroundings() -> tuple[tuple[str, str], ...]:
    return tuple(sorted(item for item in os.environ.items() if item[0].startswith(_VARIABLES)))


@lru_cache(maxsize=8)
def _provider(scope: str, process: int, surroundings: tuple[tuple[str, str], ...]) -> Token:
    """Keeps its token until shortly before it expires."""
    return get_bearer_token_provider(_credential(process, surroundings), scope)


@lru_cache(maxsize=2)
def _credential(_process: int, _surroundings: tuple[tuple[str, str], ...]) -> DefaultAzureCredential:
    """One credential per process: asking ``az`` for a token takes a second."""
    return DefaultAzureCredential()
