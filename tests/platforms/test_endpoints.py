"""No way into the server's own network, however it is written."""

from __future__ import annotations

import pytest

from rft_project.platforms.endpoints import is_loopback, refusal

PUBLIC = "93.184.215.14"


def to(*addresses: str):
    return lambda host, port: list(addresses)


def unknown(host: str, port: int) -> list[str]:
    raise OSError("no such host")


def never(host: str, port: int) -> list[str]:
    raise AssertionError(f"{host} must not be looked up")


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://api.openai.com",
        "https://API.OpenAI.com./v1",
        "https://models.example.org:8443/v1/",
        "https://xn--bcher-kva.example/v1",
    ],
)
def test_public_names_over_https_may_be_called(url):
    assert refusal(url, resolve=to(PUBLIC, "2606:2800:21f:cb07:6820:80da:af6b:8b2c")) == ""


def test_a_public_address_needs_no_lookup():
    assert refusal(f"https://{PUBLIC}/v1", resolve=never) == ""
    assert refusal("https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/v1", resolve=never) == ""


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.0.0.5",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "fec0::1",
        "fc00::1",
        "fe80::1",
        "ff02::1",
    ],
)
def test_addresses_of_inner_networks_are_refused_as_literal_and_behind_a_name(address):
    literal = f"[{address}]" if ":" in address else address
    for url, resolve in ((f"https://{literal}/v1", never), ("https://inner.example/v1", to(address))):
        assert "ALLOWED_PRIVATE_ENDPOINTS" in refusal(url, resolve=resolve)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "168.63.129.16", "100.100.100.200", "fd00:ec2::254", "::ffff:169.254.169.254"]
)
def test_metadata_services_stay_closed_even_to_the_operator(address):
    listed = ["inner.example:443", "inner.example:80"]
    for scheme in ("https", "http"):
        sentence = refusal(f"{scheme}://inner.example/v1", allowed=listed, resolve=to(address))
        assert sentence.endswith("which is never called.")


def test_one_private_answer_among_public_ones_is_enough():
    for answers in ((PUBLIC, "10.0.0.1"), ("10.0.0.1", PUBLIC), (PUBLIC, "not an address")):
        assert refusal("https://mixed.example/v1", resolve=to(*answers))


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "2130706433", "0177.0.0.1", "0", "127.0.0.1.", "1.2.3.0x4"])
def test_unusual_spellings_of_addresses_are_refused_without_a_lookup(host):
    assert "is not a usual way to write an address" in refusal(f"https://{host}/v1", resolve=never)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.openai.com/v1",
        "//api.openai.com/v1",
        "ftp://api.openai.com/v1",
        "file:///etc/passwd",
        "https:///v1",
        "https://",
        "https://user:word@api.openai.com/v1",
        "https://api.openai.com@127.0.0.1/v1",
        "https://api.openai.com\\@127.0.0.1/v1",
        "https://api.openai.com/v1?x=1",
        "https://api.openai.com/v1#x",
        "https://api.open ai.com/v1",
        "https://api.openai.com\n/v1",
        "https://api.openai.com:0/v1",
        "https://api.openai.com:99999/v1",
        "https://api.openai.com:port/v1",
        "https://①②⑦.⓪.⓪.①/v1",
        "https://-bad.example/v1",
        "https://a..b/v1",
        "https://[::1/v1",
        "https://[fe80::1%25eth0]/v1",
        "https://a.example/" + "x" * 300,
    ],
)
def test_what_two_readers_could_read_in_two_ways_is_refused(url):
    assert refusal(url, resolve=never).startswith("Write the address as https://host/path")


def test_plain_http_is_refused_before_any_lookup():
    assert refusal("http://api.openai.com/v1", resolve=never).startswith("Only addresses that begin with https://")


def test_a_name_nobody_knows_is_said():
    assert refusal("https://nobody.example", resolve=unknown) == (
        "No address is known for nobody.example; check the spelling."
    )
    assert refusal("https://nobody.example", resolve=to()) == refusal("https://nobody.example", resolve=unknown)


@pytest.mark.parametrize(
    ("url", "listed", "may"),
    [
        ("http://127.0.0.1:8765/v1", "127.0.0.1:8765", True),
        ("http://127.0.0.1:8766/v1", "127.0.0.1:8765", False),
        ("https://gpu.lan/v1", "gpu.lan:443", True),
        ("https://GPU.lan/v1", " Gpu.Lan:443 ", True),
        ("http://gpu.lan/v1", "gpu.lan:443", False),
        ("http://gpu.lan/v1", "gpu.lan", False),
        ("http://[::1]:9000/v1", "[::1]:9000", True),
        ("http://evil.example:8765/v1", "127.0.0.1:8765", False),
    ],
)
def test_the_operator_opens_exactly_the_host_and_port_listed(url, listed, may):
    assert (refusal(url, allowed=[listed], resolve=to("10.1.2.3")) == "") is may


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8800/v1", "https://127.8.8.8", "http://localhost:1", "http://[::1]:9/x", "http://LOCALHOST"],
)
def test_addresses_of_this_machine(url):
    assert is_loopback(url)


@pytest.mark.parametrize(
    "url", ["", "https://api.openai.com/v1", "http://10.0.0.1", "http://localhost.example.org", "127.0.0.1"]
)
def test_addresses_of_other_machines(url):
    assert not is_loopback(url)
