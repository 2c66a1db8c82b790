"""First start on a machine: ``python -m rft_project.bootstrap`` writes ``.env`` with fresh secrets where there is none.

Runs before Django, because the settings refuse to load without secrets.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

TEMPLATE = """\
# Written on the first start, with secrets of this installation's own. Keep it: without FIELD_ENCRYPTION_KEYS the stored
# credentials of platforms cannot be read. Every setting is described in .env.example.
SECRET_KEY={secret_key}
FIELD_ENCRYPTION_KEYS={field_key}
ENGINE_KEY={engine_key}
ALLOWED_HOSTS=127.0.0.1,localhost
# Plain HTTP, for use on this machine only.
INSECURE_HTTP=1
# Where Ollama and llama.cpp listen on this machine: people may connect them as helper models.
ALLOWED_PRIVATE_ENDPOINTS=127.0.0.1:11434,localhost:11434,127.0.0.1:8080,localhost:8080
"""


def fresh_settings() -> str:
    """Text of a ``.env`` with new random secrets."""
    return TEMPLATE.format(
        secret_key=secrets.token_urlsafe(50),
        field_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        engine_key=secrets.token_urlsafe(32),
    )


def write_once(path: Path) -> bool:
    """Write the file, readable by its owner only; False when it is there already (then it is left alone)."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(fresh_settings())
    return True


def main() -> int:
    if os.environ.get("SECRET_KEY") or os.environ.get("SECRET_KEY_FILE"):
        return 0  # configured from outside
    try:
        written = write_once(BASE_DIR / ".env")
    except OSError as error:
        sys.stderr.write(f".env cannot be written in {BASE_DIR}: {error.strerror}.\n")
        return 2
    if written:
        sys.stdout.write("Wrote .env with fresh secrets.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
