"""Which addresses given by people may be called: no way into the network this server stands in.

``ipaddress``'s ``is_private`` is not enough: carrier-grade NAT, the IPv6 forms that carry an IPv4 address and Azure's
168.63.129.16 are not private to it. The rule is made of what an address must be (global) and a list of what it must
not be, and every address a name leads to has to pass.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

#: Host name and port -> the IP addresses it leads to. Raises OSError where there are none.
Resolve = Callable[[str, int], Collection[str]]
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LONGEST = 300  # characters of an address
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*\.?")
#: A last label that ``inet_aton`` reads as a number makes the whole host a number (127.1, 0x7f000001, 2130706433).
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")

_CLOSED = [
    ipaddress.ip_network(text)
    for text in (
        "100.64.0.0/10",  # carrier-grade NAT, Alibaba's metadata
        "168.63.129.16/32",  # Azure's host
        "192.88.99.0/24",  # 6to4 relays
        "::/96",  # IPv4-compatible
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",
        "2001::/23",  # Teredo and other special purposes
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fec0::/10",  # site-local
    )
]
#: Where clouds hand out credentials to whoever asks. Not even an operator's list opens these.
_METADATA = [
    ipaddress.ip_network(text)
    for text in ("169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::254/128")
]


def resolved(host: str, port: int) -> list[str]:
    """All addresses of ``host`` as the system's resolver knows them. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]).partition("%")[0] for entry in found]


def refusal(url: str, *, allowed: Collection[str] = (), resolve: Resolve = resolved) -> str:
    """The sentence why ``url`` must not be called, '' when it may be.

    ``allowed``: ``host:port`` pairs an operator opened (``[::1]:8000`` for IPv6), also without TLS; metadata services
    stay closed. Asks ``resolve`` for names, never for what is written as an IP address.
    """
    parts = _parts(url)
    if parts is None:
        return "Write the address as https://host/path, with nothing before the host and no ? or # after it."
    scheme, host, port = parts
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    opened = place in {entry.strip().lower() for entry in allowed}
    if scheme != "https" and not opened:
        return "Only addresses that begin with https:// are called, because the key travels with every call."
    literal = _address(host)
    if literal is None and _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        return f"{host} is not a usual way to write an address; write four numbers with points, or a name."
    try:
        addresses = [_address(text) for text in ([host] if literal else resolve(host, port))]
    except (OSError, UnicodeError):
        addresses = []
    if not addresses:
        return f"No address is known for {host}; check the spelling."
    if any(address is None or _within(address, _METADATA) for address in addresses):
        return f"{host} leads to a service that hands out credentials of this server, which is never called."
    if not opened and not all(address is not None and _global(address) for address in addresses):
        return (
            f"{host} leads into a private network, where nothing is called unless the operator of this server "
            f"lists {place} in ALLOWED_PRIVATE_ENDPOINTS."
        )
    return ""


def is_loopback(url: str) -> bool:
    """Whether ``url`` names this machine itself. Asks no resolver."""
    parts = _parts(url)
    if parts is None:
        return False
    address = _address(parts[1])
    return parts[1] == "localhost" if address is None else address.is_loopback


def _parts(url: str) -> tuple[str, str, int] | None:
    """Scheme, host in lower case and port; None for anything that two readers could read in two ways."""
    if not 1 <= len(url) <= _LONGEST or not url.isascii() or re.search(r"[\x00-\x20\x7f\\?#@]", url):
        return None
    try:
        split = urlsplit(url)
        host, port = split.hostname or "", split.port
    except ValueError:
        return None
    if split.scheme not in ("http", "https") or (_address(host) is None and not _HOST.fullmatch(host)):
        return None
    if port == 0 or "%" in split.netloc:
        return None
    return split.scheme, host, port or (443 if split.scheme == "https" else 80)


def _address(text: str) -> _Address | None:
    """The address ``text`` spells, an IPv4 address inside an IPv6 one taken out; None where it spells none."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def _within(address: _Address, networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def _global(address: _Address) -> bool:
    return address.is_global and not address.is_multicast and not _within(address, _CLOSED)
