"""Every address of the site, made from the URL patterns themselves, so that a new page cannot be forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

#: What stands in an address for a parameter of this kind. Nothing with these keys exists.
STAND_INS = {"int": "987654", "uuid": "00000000-0000-4000-8000-000000000000", "str": "x", "slug": "x", "path": "987654"}
#: Patterns written as regular expressions.
SPECIAL = {"app_list": "admin/connections/", None: "admin/nothing/"}


@dataclass(frozen=True)
class Address:
    """``name`` with its namespace, such as ``datasets:record``."""

    name: str
    path: str

    @property
    def of_admin(self) -> bool:
        return self.path.startswith("/admin/")


def addresses() -> list[Address]:
    return list(_walk(get_resolver().url_patterns, "", ""))


def _walk(patterns: list[Any], before: str, namespace: str) -> Iterator[Address]:
    for entry in patterns:
        if isinstance(entry, URLResolver):
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            yield from _walk(entry.url_patterns, before + str(entry.pattern), inner)
            continue
        yield Address(f"{namespace}{entry.name}", "/" + _path(entry, before))


def _path(entry: URLPattern, before: str) -> str:
    route = str(entry.pattern)
    if "(?P<" in route:
        return SPECIAL[entry.name]
    return re.sub(r"<(?:(\w+):)?\w+>", lambda found: STAND_INS[found[1] or "str"], before + route)
