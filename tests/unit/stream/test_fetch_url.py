"""URLs and addresses that may, and may not, be fetched from."""

import ipaddress

import pytest

from imagesvc import errors
from imagesvc.stream import fetch, fetch_address, fetch_rule, fetch_url

RULES = fetch_rule.FetchRules()


@pytest.mark.parametrize(
    ("text", "origin", "target"),
    [
        ("http://example.org", "http://example.org:80", "/"),
        ("HTTPS://Example.ORG./a%20b?c=d/e?#part", "https://example.org:443", "/a%20b?c=d/e?"),
        ("http://example.org:8080?x", "http://example.org:8080", "/?x"),
        ("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example:80", "/"),
        ("http://192.0.2.1/x", "http://192.0.2.1:80", "/x"),
        ("http://[2001:DB8::1]:81/x", "http://[2001:db8::1]:81", "/x"),
        ("http://a_b.example.org/~x/;y=@z", "http://a_b.example.org:80", "/~x/;y=@z"),
    ],
)
def test_a_url_is_taken_apart(text: str, origin: str, target: str) -> None:
    url = fetch_url.parse(text)
    assert (url.origin, url.target) == (origin, target)


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "http:", "http:/", "http://", "http:///path", "//example.org/", "example.org/x",
        # addresses that only a resolver understands
        "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://127.0.0.0x1/",
        "http://0177.0.0.1/", "http://127.1/", "http://0/", "http://127.0.0.1./", "http://1.2.3/",
        "http://017700000001/", "http://127.0.0.01/", "http://1.2.3.4.5/", "http://a.0x7f/",
        # what parsers disagree on
        "http://127.0.0.1\\@example.org/", "http://example.org\\@127.0.0.1/",
        "http://user@example.org/", "http://user:word@example.org/", "http://a@b@c/",
        "http://example.org#@127.0.0.1/", "http://example.org@/", "http://exa\tmple.org/",
        "http://exam\nple.org/", "http://example.org/\r\nX: y", "http://example.org/a b",
        " http://example.org/", "http://example.org/ ", "http://example.org/\x00",
        "http://ex\uff0eample.org/", "http://example\u3002org/", "http://b\u00fccher.example/",
        "http://\u2460.example/", "http://example.org/\u00fc", "http://example.org/\x7f",
        "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::1/", "http://::1/",
        "http://[127.0.0.1]/", "http://[example.org]/", "http://[::1]x/", "http://[v1.x]/",
        "http://example.org:80:80/", "http://example.org:/", "http://example.org:0/",
        "http://example.org:65536/", "http://example.org:+80/", "http://example.org:\u0661/",
        "http://%31%32%37.0.0.1/", "http://example%2eorg/", "http://example.org/%zz",
        "http://example.org/%", "http://-a.example/", "http://a..example/", "http://.example/",
        "http://" + "a" * 64 + ".example/", "http://" + "a." * 127 + "example/",
        "http://example.org/" + "a" * 4096, "http://example.org/[x", 'http://example.org/"',
        # other schemes have no port of their own
        "file:///etc/passwd", "filesystem:///x", "javascript:alert(1)", "data:,x",
    ],
)  # fmt: skip
def test_a_url_that_parsers_may_read_differently_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        fetch_url.parse(text)
    assert caught.value.reason is errors.Reason.URL_REFUSED


@pytest.mark.parametrize(
    "text",
    [
        "ftp://example.org:80/", "gopher://example.org:80/", "file://example.org:80/x",
        "http://example.org:22/", "https://example.org:8443/", "http://localhost/",
        "http://localhost./", "http://a.localhost/", "http://127.0.0.1/", "http://[::1]/",
        "http://[::ffff:127.0.0.1]/", "http://169.254.169.254/latest/meta-data/",
        "http://10.1.2.3/",
    ],
)  # fmt: skip
def test_what_needs_no_network_is_judged_before_any_work(text: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        fetch.check_url(text, RULES)
    assert caught.value.reason is errors.Reason.URL_REFUSED


@pytest.mark.parametrize("text", ["http://example.org/", "https://1.1.1.1/", "http://[2600::]/"])
def test_public_hosts_are_taken(text: str) -> None:
    fetch.check_url(text, RULES)


@pytest.mark.parametrize(
    ("reference", "leads_to"),
    [
        ("/other", "http://example.org:80/other"),
        ("other?x", "http://example.org:80/a/other?x"),
        ("//elsewhere.example/x", "http://elsewhere.example:80/x"),
        ("https://[2600::1]/x", "https://[2600::1]:443/x"),
        ("?x", "http://example.org:80/a/b?x"),
    ],
)
def test_a_redirect_is_relative_to_where_it_came_from(reference: str, leads_to: str) -> None:
    url = fetch_url.join(fetch_url.parse("http://example.org/a/b"), reference)
    assert url.origin + url.target == leads_to


@pytest.mark.parametrize("reference", ["", "/a\tb", "\\\\evil.example/", "/\u00fc", "//a@b/", "/ "])
def test_a_redirect_obeys_the_same_grammar(reference: str) -> None:
    with pytest.raises(errors.InvalidRequest):
        fetch_url.join(fetch_url.parse("http://example.org/a/b"), reference)


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.0.1", "169.254.169.254",
        "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.0.192", "192.0.2.1", "192.88.99.1",
        "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1",
        "239.1.1.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::7f00:1",
        "64:ff9b:1::808:808", "100::1", "2001::1", "2001:0:7f00:1::1", "2001:10::1", "2001:db8::1",
        "2002:7f00:1::", "2002:a00:1::1", "2002:c0a8:1::", "3fff::1", "5f00::1", "fc00::1",
        "fd00:ec2::254", "fe80::1", "febf::1", "fec0::1", "ff02::1", "ff0e::1", "4000::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(text: str) -> None:
    assert not fetch_address.is_allowed(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "1.1.1.1", "8.8.8.8", "100.128.0.1", "172.32.0.1", "192.0.1.1", "198.20.0.1", "223.255.255.1",
        "::ffff:8.8.8.8", "64:ff9b::808:808", "2600::1", "2606:4700::1111", "2a00:1450::1",
    ],
)  # fmt: skip
def test_a_public_address_is_allowed(text: str) -> None:
    assert fetch_address.is_allowed(ipaddress.ip_address(text))


def test_the_operator_excepts_and_denies_networks_and_denying_wins() -> None:
    def may(text: str) -> bool:
        return fetch_address.is_allowed(
            ipaddress.ip_address(text),
            allowed=[ipaddress.ip_network("10.0.0.0/8")],
            denied=[ipaddress.ip_network("10.9.0.0/16"), ipaddress.ip_network("8.8.8.0/24")],
        )

    assert may("10.0.0.1")
    assert may("::ffff:10.0.0.1")
    assert may("64:ff9b::a00:1")
    assert not may("10.9.0.1")
    assert not may("8.8.8.8")
    assert not may("64:ff9b::808:808")
    assert not may("192.168.0.1")
