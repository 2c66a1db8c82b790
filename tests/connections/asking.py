"""``python -m tests.connections.asking CONNECTION MODEL CALLS``: a process that asks over a stored connection.

Prints one JSON object: how many answers came, and the sentences of what went wrong.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import django


def ask(connection_pk: str, model: str, calls: int, pools: int = 2) -> dict[str, Any]:
    """From several pools at once, as several jobs of a process would."""
    from rft_project.connections.models import Connection
    from rft_project.connections.services import platform_for
    from rft_project.platforms.errors import PlatformError
    from rft_project.platforms.pool import run_pool
    from rft_project.platforms.types import SampleRequest

    platform = platform_for(Connection.objects.get(pk=connection_pk))
    question = [{"role": "user", "content": "Where is my parcel?"}]
    request = SampleRequest(model=model, messages=question, max_tokens=40)
    answers: list[Any] = []

    def pool() -> None:
        answers.extend(answer for _, answer in run_pool(range(calls // pools), lambda _: platform.sample(request)))

    threads = [threading.Thread(target=pool) for _ in range(pools)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wrong = [str(answer) for answer in answers if isinstance(answer, PlatformError)]
    return {"answers": len(answers) - len(wrong), "wrong": wrong}


if __name__ == "__main__":
    django.setup()
    sys.stdout.write(json.dumps(ask(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
