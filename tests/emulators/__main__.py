"""The studio with emulated platforms and connections to them; with ``--alone`` the platforms only."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from pathlib import Path

from .table import Started, all_started

ROOT = Path(__file__).resolve().parent.parent.parent
#: Beside a studio that runs already: other ports, another database.
PORT, ENGINE = 8010, "http://127.0.0.1:8775/v1"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make emulators", description=__doc__)
    parser.add_argument("--alone", action="store_true", help="start no studio; say what to enter in one")
    parser.add_argument("--port", type=int, default=PORT, help=f"port of the studio ({PORT})")
    given = parser.parse_args()
    try:
        with all_started() as emulators:
            return told(emulators) if given.alone else studio(emulators, given.port)
    except OSError as error:
        sys.stderr.write(
            f"An emulator cannot start ({error.strerror}); end what uses its port, or another start of it.\n"
        )
        return 2
    except KeyboardInterrupt:
        return 0


def told(emulators: list[Started]) -> int:
    """Say what to enter, then answer until Ctrl-C."""
    say("These platforms are emulated now. Nothing is sent out, nothing is paid.\n")
    say(f"1. Start the studio with these lines in .env:\n\n   ALLOWED_PRIVATE_ENDPOINTS={places(emulators)}")
    for emulator in emulators:
        for name, value in emulator.environment.items():
            say(f"   {name}={value}")
    say("")
    say("2. On its page Connections, add:\n")
    for emulator in emulators:
        say(f"   {emulator.name}")
        for field, value in emulator.credentials.items():
            say(f"      {field.replace('_', ' '):<15} {value}")
    say("\nCtrl-C stops them.")
    threading.Event().wait()
    return 0


def studio(emulators: list[Started], port: int) -> int:
    """Everything ``manage.py start`` starts, with a connection to each emulator in the owner's workspace."""
    from rft_project import bootstrap

    if bootstrap.main():
        return 2
    prepare_environment(emulators)
    import django

    django.setup()
    from django.core.management import CommandError, call_command

    call_command("migrate", interactive=False, verbosity=0)
    for name in connect(emulators):
        say(f"Connected: {name}")
    try:
        call_command("start", port=port)
    except CommandError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def prepare_environment(emulators: list[Started]) -> None:
    """Of this process and of the children it starts; what is set already stays."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rft_project.settings")
    os.environ.setdefault("DATA_DIR", str(ROOT / "data" / "emulated"))
    os.environ.setdefault("ENGINE_URL", ENGINE)
    for emulator in emulators:
        os.environ.update(emulator.environment)
    opened = [os.environ.get("ALLOWED_PRIVATE_ENDPOINTS", ""), places(emulators)]
    os.environ["ALLOWED_PRIVATE_ENDPOINTS"] = ",".join(entry for entry in opened if entry)


def connect(emulators: list[Started]) -> list[str]:
    """Connections to all of ``emulators``, those that are missing made, those of an earlier start mended."""
    from django.db import connections

    from rft_project.connections import services
    from rft_project.connections.access import home_workspace
    from rft_project.web.management.commands.start import first_owner

    owner = first_owner()
    workspace = home_workspace(owner)
    for emulator in emulators:
        found = workspace.connections.filter(name=emulator.name).first()
        if found is None:
            services.add(workspace, emulator.kind, emulator.name, emulator.credentials, by=owner)
        elif found.credentials() != emulator.credentials:
            services.replace_credentials(found, emulator.credentials, by=owner)
    connections.close_all()
    return [emulator.name for emulator in emulators]


def places(emulators: list[Started]) -> str:
    return ",".join(place for emulator in emulators for place in emulator.places)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
