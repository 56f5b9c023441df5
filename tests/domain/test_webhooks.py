"""Addresses and URLs that a webhook may use."""

from ipaddress import ip_address, ip_network

import pytest

from limits.domain.webhook_addresses import address_problem, url_problem

FORBIDDEN = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9"),
    *("224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1", "100::1"),
    # Addresses that embed an IPv4 address: mapped, 6to4, Teredo and NAT64.
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "2002:a00:1::1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
    *("64:ff9b:1::a00:1", "2001:0:4136:e378:8000:63bf:80ff:fffe"),
    # The whole local-use prefix of NAT64: its operator chooses the position of the embedded address.
    *("64:ff9b:1::101:101", "64:ff9b:1:c0a8:1:100::", "64:ff9b:1:ffff:ffff:ffff:808:808"),
    *("fec0::1", "feff:ffff::1", "fe80::1%eth0", "::7f00:1", "::808:808", "::ffff:0:7f00:1", "::ffff:0:808:808"),
    *("2001:2::1", "2001:10::1", "2001:20::1", "3fff::1", "3ffe::1", "5f00::1", "100:0:0:1::1", "4000::1", "8000::1"),
    # Teredo to a public address, and ISATAP behind a public prefix.
    *("2001:0:808:808:0:0:fefe:fefe", "2606:4700::5efe:a00:1", "2606:4700::200:5efe:7f00:1"),
    *("192.88.99.1", "192.0.0.9", "192.0.0.170", "0.1.2.3", "100.127.255.255", "169.254.0.1", "198.19.255.255"),
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_addresses_that_are_not_public(address: str) -> None:
    message = address_problem(ip_address(address))
    assert message
    assert "neither public" in message


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::"),
        *("100.63.255.255", "100.128.0.1", "172.32.0.1", "192.0.1.1", "192.31.196.1", "198.17.0.1", "223.255.255.255"),
        *("2001:200::1", "2001:4860:4860::8888", "2400::1", "2620:4f:8000::1", "2606:4700::5efe:101:101"),
    ],
)
def test_public_addresses(address: str) -> None:
    assert address_problem(ip_address(address)) is None


def test_explicitly_allowed_networks() -> None:
    allowed = [ip_network("10.1.0.0/16"), ip_network("fd00::/64")]
    assert address_problem(ip_address("10.1.2.3"), allowed) is None
    assert address_problem(ip_address("::ffff:10.1.2.3"), allowed) is None
    assert address_problem(ip_address("fd00::7"), allowed) is None
    assert address_problem(ip_address("10.2.0.1"), allowed)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://example.com", None),
        ("https://example.com:8443/a?b=c", None),
        ("https://[2606:4700:4700::1111]/", None),
        ("http://example.com/", "must begin with https://"),
        ("http://1.1.1.1/", "must begin with https://"),
        ("ftp://example.com/", "must begin with https://"),
        ("//example.com/", "must begin with https://"),
        ("https:///path", "must begin with https://"),
        ("example.com", "must begin with https://"),
        ("https://user@example.com/", "must not contain a user name"),
        ("https://user:password@example.com/", "must not contain a user name"),
        ("https://example.com/#part", "must not contain a user name"),
        ("https://example.com:99999/", "is not a URL"),
        ("https://[::1/", "is not a URL"),
        ("https://exa mple.com/", "without spaces"),
        ("https://example.com/\r\nHost: evil", "without spaces"),
        ("https://exämple.com/", "without spaces"),
        ("https://example.com/" + "x" * 500, "at most 500"),
        ("https://127.0.0.1/", "neither public"),
        ("https://[::1]/", "neither public"),
        ("https://[::ffff:7f00:1]/", "neither public"),
        ("https://169.254.169.254/latest/meta-data", "neither public"),
        ("https://localhost/", "neither public"),
        ("https://LOCALHOST:8443/", "neither public"),
        ("https://localhost./", "neither public"),
        ("https://a.localhost/", "neither public"),
        ("https://127.0.0.1./", "neither public"),
        ("https://[::ffff:0a00:0001]/", "neither public"),
        ("https://[0:0:0:0:0:0:0:1]/", "neither public"),
        ("https://[::127.0.0.1]/", "neither public"),
        ("https://[fec0::1]/", "neither public"),
        ("https://[FEC0:0::1]:8443/", "neither public"),
        ("https://[fe80::1%25eth0]/", "neither public"),
        ("https://[64:ff9b::10.0.0.1]/", "neither public"),
        ("https://[64:ff9b:1:a00:0:100::]/", "neither public"),
        ("https://127.1/", "four decimal numbers"),
        ("https://10.1/", "four decimal numbers"),
        ("https://127.0.1/", "four decimal numbers"),
        ("https://2130706433/", "four decimal numbers"),
        ("https://0x7f000001/", "four decimal numbers"),
        ("https://0x7f.0.0.1/", "four decimal numbers"),
        ("https://0X7F.1/", "four decimal numbers"),
        ("https://0177.0.0.1/", "four decimal numbers"),
        ("https://017700000001/", "four decimal numbers"),
        ("https://127.0.0.01/", "four decimal numbers"),
        ("https://127.0.0.0x1/", "four decimal numbers"),
        ("https://1.2.3.4.5/", "four decimal numbers"),
        ("https://256.0.0.1/", "four decimal numbers"),
        ("https://127.0.0.1@example.com/", "must not contain a user name"),
        ("https://example.com@127.0.0.1/", "must not contain a user name"),
        ("https://１２７.0.0.1/", "without spaces"),
        ("https://127。0。0。1/", "without spaces"),
        ("https://127.0.0.1\t/", "without spaces"),
        ("https://\n127.0.0.1/", "without spaces"),
        ("https:\\\\127.0.0.1/", "must begin with https://"),
        ("https://[::1%0d%0a]/", "is not a URL"),
        ("https://3com.example/", None),
        ("https://1.example/", None),
        ("https://example.com./", None),
    ],
)
def test_urls(url: str, problem: str | None) -> None:
    message = url_problem(url)
    assert (message is None) == (problem is None), message
    assert problem is None or problem in str(message)


def test_http_without_tls_requires_an_allowed_network() -> None:
    allowed = [ip_network("10.1.0.0/16")]
    assert url_problem("http://10.1.2.3/hook", allowed) is None
    assert url_problem("http://intranet/hook", allowed) is None
    assert "https://" in str(url_problem("http://1.1.1.1/hook", allowed))
