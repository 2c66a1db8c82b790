"""Something worth stealing: files, sockets, an environment variable and an open descriptor in the parent."""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

FILES = {".env": "CANARY", "settings.py": 'KEY = "CANARY"\n', "copy1": "CANARY", "copy2": "CANARY"}


@dataclass
class World:
    folder: Path
    targets: dict[str, Any]
    hits: list[str] = field(default_factory=list)

    def fill(self) -> None:
        """Put every file there, open to everybody: what is refused is refused by the jail, not by file modes."""
        for name, text in FILES.items():
            (self.folder / name).write_text(text)
        database = self.folder / "db.sqlite3"
        if not database.exists():
            connection = sqlite3.connect(database)
            connection.execute("create table t (x)")
            connection.execute("insert into t values ('CANARY')")
            connection.commit()
            connection.close()
        for path in self.folder.iterdir():
            if not path.is_socket():
                path.chmod(0o666)

    def state(self) -> dict[str, tuple[int, bytes]]:
        """Mode and content of every file, and what lies beside the folder under its name."""
        found = {path.name: path for path in self.folder.iterdir() if path.is_file()}
        found |= {path.name: path for path in self.folder.parent.glob(f"{self.folder.name}-*")}
        return {name: (path.lstat().st_mode, path.read_bytes()) for name, path in found.items()}


def _listen(listener: socket.socket, name: str, hits: list[str]) -> None:
    while True:
        try:
            connection, _address = listener.accept()
        except OSError:
            return
        hits.append(name)
        connection.settimeout(0.5)
        with connection:
            try:
                connection.recv(10)
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
            except OSError:
                pass


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="jail-world-", dir="/tmp"))
    folder.chmod(0o777)
    tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    abstract, path = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    name = f"jail-{secrets.token_hex(6)}"
    tcp.bind(("127.0.0.1", 0))
    udp.bind(("127.0.0.1", 0))
    abstract.bind(f"\0{name}")
    path.bind(str(folder / "unix.sock"))
    (folder / "unix.sock").chmod(0o777)
    world = World(
        folder,
        {
            "folder": str(folder),
            "db": str(folder / "db.sqlite3"),
            "parent": os.getpid(),
            "port": tcp.getsockname()[1],
            "udp_port": udp.getsockname()[1],
            "abstract": name,
        },
    )
    for listener, kind in ((tcp, "tcp"), (abstract, "abstract"), (path, "path")):
        listener.listen(50)
        threading.Thread(target=_listen, args=(listener, kind, world.hits), daemon=True).start()
    world.fill()
    leak = os.open(world.targets["db"], os.O_RDONLY)
    os.set_inheritable(leak, True)
    os.environ["JAIL_TEST_KEY"] = "CANARY"
    yield world
    del os.environ["JAIL_TEST_KEY"]
    os.close(leak)
    for opened in (tcp, udp, abstract, path):
        opened.close()
    rmtree(folder)
