"""System check of ``manage.py check --deploy``: does the sandbox of python graders hold on this server?

rft.E005  python graders cannot run here          rft.E006  an attack gets out of the sandbox
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from graders_app.core.jail import JailUnavailable, SourceRefused
from graders_app.core.jail.canary import attacks_that_worked

SWITCH_OFF = "set GRADER_BACKEND=off to run without python graders"


@register(Tags.security, deploy=True)
def python_graders(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Looks at the kernel, then starts the jail and attacks it. Says nothing where python graders are switched off."""
    if settings.GRADER_BACKEND == "off":
        return []
    try:
        worked = attacks_that_worked()
    except (JailUnavailable, SourceRefused) as error:
        return [Error(str(error), hint=f"Mend what the sentence names, or {SWITCH_OFF}.", id="rft.E005")]
    return [
        Error(
            f"The sandbox of python graders does not hold on this server: {attack}.",
            hint=f"Until it does, {SWITCH_OFF}.",
            id="rft.E006",
        )
        for attack in worked
    ]
