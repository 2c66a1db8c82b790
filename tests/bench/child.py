"""One contestant in a process of its own: ``python -m tests.bench.child MODULE:FUNCTION '{"argument": …}'``.

The function prepares (imports, warms up, opens) and returns what is timed. Prints one JSON line: CPU seconds of this
process and its children, of the PostgreSQL server where there is one, wall seconds, and the result (of a function that
is called afterwards, where it takes work to find out).
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time

import django

from tests.bench.processes import cpu_of_server


def cpu_seconds() -> float:
    """Of this process and of the children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main(name: str, arguments: str) -> None:
    if "DJANGO_SETTINGS_MODULE" in os.environ:
        django.setup()
    module, function = name.split(":")
    timed = getattr(importlib.import_module(module), function)(**json.loads(arguments))
    server = int(os.environ.get("BENCH_SERVER_PID", "0"))
    server_before = cpu_of_server(server) if server else 0.0
    cpu, wall = cpu_seconds(), time.monotonic()
    result = timed()
    measured = {"cpu": cpu_seconds() - cpu, "wall": time.monotonic() - wall}
    measured["server"] = cpu_of_server(server) - server_before if server else 0.0
    if callable(result):
        result = result()
    sys.stdout.write("\n" + json.dumps(measured | {"result": result}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
