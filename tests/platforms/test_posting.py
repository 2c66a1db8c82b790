"""Questions do not go through the SDK, and nobody can tell: the same headers, the same errors, the same bounds."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai as sdk
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rft_project.platforms import PlatformError, build
from rft_project.platforms.bounded import TooLong
from rft_project.platforms.openai_errors import translate
from rft_project.platforms.posting import posted
from rft_project.platforms.types import SampleRequest
from tests.emulators import azure, openai
from tests.emulators.faults import Fault

QUESTION = SampleRequest(
    model=openai.CHAT, messages=[{"role": "user", "content": "Wo ist mein Päckchen? 📦"}], max_tokens=40
)
FAULTS = {
    "401": Fault("", "", 401, message="Wrong key."),
    "403": Fault("", "", 403),
    "404": Fault("", "", 404, code="not_found"),
    "408": Fault("", "", 408),
    "409": Fault("", "", 409),
    "422": Fault("", "", 422),
    "429": Fault("", "", 429, {"retry-after-ms": "1500"}, "Slow down."),
    "quota": Fault("", "", 429, {}, "No money.", "insufficient_quota"),
    "500": Fault("", "", 500),
    "503": Fault("", "", 503, {"retry-after": "2"}),
    "drop": Fault("", "", "drop"),
    "cut": Fault("", "", "cut"),
    "broken-json": Fault("", "", "broken-json"),
    "not-json": Fault("", "", "not-json"),
    "huge-json": Fault("", "", "huge-json"),
    "redirect": Fault("", "", "redirect", {"location": "http://127.0.0.1:9/elsewhere"}),
}


def put(emulator: Any, kind: str, method: str, path: str) -> None:
    given = FAULTS[kind]
    emulator.faults.append(Fault(method, path, given.kind, given.headers, given.message, given.code))


def failure(call: Any) -> tuple[Any, ...]:
    with pytest.raises(PlatformError) as caught:
        call()
    error = caught.value
    words = str(error).replace("while sampling", "while listing models")
    return type(error), words, error.retryable, error.retry_after, error.status, error.code


@pytest.mark.parametrize("kind", FAULTS)
def test_what_goes_wrong_is_told_as_of_a_call_of_the_sdk(emulator: openai.OpenAIEmulator, kind: str) -> None:
    platform = build("openai", emulator.credentials)
    put(emulator, kind, "GET", "/models")
    put(emulator, kind, "POST", "/chat/completions")
    assert failure(lambda: platform.sample(QUESTION)) == failure(platform.check)
    assert emulator.faults == []
    assert len(platform.sample(QUESTION).answers) == 1


def test_a_server_that_is_not_there(unused_port: int) -> None:
    platform = build("openai", {"base_url": f"http://127.0.0.1:{unused_port}/v1", "api_key": "sk-x"})
    assert failure(lambda: platform.sample(QUESTION)) == failure(platform.check)


def sent(emulator: Any, path: str) -> dict[str, str]:
    (headers,) = [h for (_, asked), h in zip(emulator.requests, emulator.headers, strict=True) if asked.endswith(path)]
    return {
        name: value for name, value in headers.items()
        if name in ("authorization", "api-key", "openai-organization", "openai-project", "accept", "cookie")
    }  # fmt: skip


@pytest.mark.parametrize("more", [{}, {"organization": "org-1", "project": "proj-1"}])
def test_the_headers_that_matter_are_the_sdks(emulator: openai.OpenAIEmulator, more: dict[str, str]) -> None:
    platform = build("openai", {**emulator.credentials, **more})
    platform.sample(QUESTION)
    platform.embed(["Where is my parcel?"])
    assert sent(emulator, "/chat/completions") == sent(emulator, "/embeddings")


@pytest.mark.parametrize("keyed", [True, False])
def test_azure_is_asked_with_its_key_or_with_the_servers_sign_in(azure_emulator: Any, keyed: bool) -> None:
    credentials = {**azure_emulator.credentials, **({} if keyed else {"api_key": ""})}
    platform = build("azure", credentials)
    platform.sample(QUESTION.model_copy(update={"model": azure.CHAT}))
    platform.embed(["Where is my parcel?"])
    headers = sent(azure_emulator, "/chat/completions")
    assert headers == sent(azure_emulator, "/embeddings")
    assert ("api-key" in headers) is keyed


def test_the_text_arrives_as_it_is(emulator: openai.OpenAIEmulator) -> None:
    body = {"model": openai.CHAT, "messages": [{"role": "user", "content": "Päckchen \ud800 📦"}]}
    headers = {"Authorization": f"Bearer {emulator.key}", "Content-Type": "application/json"}
    answer = posted(os.getpid(), f"{emulator.url}/chat/completions", headers, body, timeout=5.0)
    assert (answer.status_code, answer.headers["X-Request-Id"]) == (200, "req_1")
    assert json.loads(answer.content)["model"] == openai.CHAT


def test_an_answer_that_does_not_come(emulator: openai.OpenAIEmulator) -> None:
    emulator.faults.append(Fault("POST", "/chat/completions", "hang"))
    with pytest.raises(sdk.APITimeoutError) as late:
        posted(os.getpid(), f"{emulator.url}/chat/completions", {}, {}, timeout=0.2)
    told = translate(late.value, platform="OpenAI", doing="sampling")
    assert (str(told), told.retryable) == ("OpenAI did not answer in time while sampling.", True)


def test_proxies_of_the_environment_are_not_asked(
    emulator: openai.OpenAIEmulator, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port}")
    assert len(build("openai", emulator.credentials).sample(QUESTION).answers) == 1


@contextmanager
def listening(
    answers: list[bytes], context: ssl.SSLContext | None = None, ended: threading.Semaphore | None = None
) -> Iterator[tuple[int, list[bytes]]]:
    """A server that gives one connection each of ``answers``, and ends it without a word; what it was sent. ``ended``
    is released after each."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in answers:
                try:
                    connection, _ = server.accept()
                    with connection if context is None else context.wrap_socket(connection, server_side=True) as wire:
                        asked.append(wire.recv(65_536))
                        while not asked[-1].endswith(b"}"):
                            asked[-1] += wire.recv(65_536)
                        wire.sendall(answer)
                    if ended is not None:
                        ended.release()
                except OSError:
                    continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], asked
        thread.join(5)


def answer_of(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", "content-type: application/json", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def test_a_connection_that_the_server_dropped_is_not_used_again() -> None:
    ended = threading.Semaphore(0)
    with listening([answer_of(b"{}", "content-length: 2")] * 3, ended=ended) as (port, asked):
        for _ in range(3):
            posted(os.getpid(), f"http://127.0.0.1:{port}/v1/chat/completions", {}, {"n": 1}, timeout=5.0)
            assert ended.acquire(timeout=5)
    assert len(asked) == 3


def test_a_small_answer_that_unpacks_to_a_huge_one_is_cut_off() -> None:
    import gzip

    bomb = gzip.compress(b"x" * (128 * 1024 * 1024), 9)
    answer = answer_of(bomb, "content-encoding: gzip", f"content-length: {len(bomb)}")
    with listening([answer]) as (port, _), pytest.raises(sdk.APIConnectionError) as refused:
        posted(os.getpid(), f"http://127.0.0.1:{port}/", {}, {}, timeout=10.0)
    assert isinstance(refused.value.__cause__, TooLong)


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path / "server.pem"))
    serving = listening([answer_of(b"{}", "content-length: 2")], context)
    with serving as (port, asked), pytest.raises(sdk.APIConnectionError) as refused:
        posted(os.getpid(), f"https://127.0.0.1:{port}/", {}, {}, timeout=5.0)
    assert isinstance(refused.value.__cause__, httpx2.ConnectError)
    assert asked == []


def self_signed(path: Path) -> Path:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    place = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).add_extension(place, critical=False)
    made = made.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
    certificate = made.sign(key, hashes.SHA256())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def test_a_key_that_can_be_no_header_is_in_no_error(emulator: openai.OpenAIEmulator) -> None:
    broken = build("openai", {**emulator.credentials, "api_key": "sk-secret\nPART2"})
    with pytest.raises(PlatformError) as failed:
        broken.sample(QUESTION)
    told = [failed.value, failed.value.__cause__, failed.value.__context__]
    assert "broke" in str(failed.value)
    assert not any("secret" in str(error) for error in told)
