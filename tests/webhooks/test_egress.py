import asyncio
import ipaddress
from typing import Any

import pytest

from sandbox.webhooks import egress
from sandbox.webhooks.errors import WebhookUrlRefused


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/hooks",
        "ftp://shop.example/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http://user@shop.example/",
        "http://user:pass@shop.example/",
        "http://@shop.example/",
        "http://shop.example/#top",
        "http://shop.example:0/",
        "http://shop.example:99999/",
        "http://shop example/",
        "http://shop.example/\r\nX: y",
        "http://shop.example\\@10.0.0.1/",
        "http://[fe80::1%25eth0]/",
        "http://[::1",
        "http://дүкен.example/",
        "http://shop.example/" + "x" * 2_000,
    ],
)
def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    with pytest.raises(WebhookUrlRefused):
        egress.parse(url, allow_loopback=True)


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "[::]",
        "[fe80::1]",
        "[fc00::1]",
        "[ff02::1]",
        "[::ffff:10.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::a00:1]",
        "[2002:a00:1::]",
    ],
)
def test_private_and_special_addresses_are_refused_even_where_loopback_is_allowed(
    host: str,
) -> None:
    with pytest.raises(WebhookUrlRefused):
        egress.parse(f"http://{host}/", allow_loopback=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]"])
def test_loopback_goes_by_the_setting(host: str) -> None:
    with pytest.raises(WebhookUrlRefused):
        egress.parse(f"http://{host}:8080/", allow_loopback=False)
    assert egress.parse(f"http://{host}:8080/", allow_loopback=True).port == 8080


@pytest.mark.parametrize("spelling", ["2130706433", "0x7f.1", "127.1", "localhost"])
async def test_other_spellings_of_loopback_are_refused_once_resolved(spelling: str) -> None:
    destination = egress.parse(f"http://{spelling}/", allow_loopback=False)
    with pytest.raises(WebhookUrlRefused):
        await egress.resolve(destination, allow_loopback=False)


async def test_a_name_with_one_private_address_among_public_ones_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def lookup(*args: Any, **options: Any) -> list[Any]:
        return [(0, 0, 0, "", (address, 80)) for address in ("93.184.216.34", "10.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
    destination = egress.parse("http://shop.example/", allow_loopback=True)
    with pytest.raises(WebhookUrlRefused, match=r"10\.0\.0\.1"):
        await egress.resolve(destination, allow_loopback=True)


def test_a_public_url_keeps_its_host_header_and_query_at_the_checked_address() -> None:
    found = egress.parse("https://Shop.example/a?b=c", allow_loopback=False)
    assert (found.authority, found.host, found.port) == ("Shop.example", "shop.example", 443)
    four, six = ipaddress.ip_address("93.184.216.34"), ipaddress.ip_address("2606:2800::1")
    assert found.at(four) == "https://93.184.216.34:443/a?b=c"
    assert found.at(six) == "https://[2606:2800::1]:443/a?b=c"
