"""What is read from publishers over https, and from mirrors."""

import ipaddress

import pytest

from imagesvc import errors
from imagesvc.manager import catalog_web
from imagesvc.manager.catalog_web import CatalogWeb
from imagesvc.stream.fetch_rule import FetchRules
from imagesvc.stream.source import UrlSource
from tests import web_server
from tests.web_server import answer, serving

HOST = "images.example.org"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    """A file of authorities, and a server's context for the host."""
    return web_server.certify(tmp_path_factory.mktemp("tls"), HOST)


def web(server, ca_file="", address="127.0.0.1", mirrors=None, **changes):
    """A reader that finds the host at an address of this machine."""
    rules = FetchRules(
        **{
            "allowed_ports": frozenset({server.port}),
            "allowed_networks": LOOPBACK,
            "answer_timeout_s": 20.0,  # so long would it take if failures were hidden
            "ca_file": str(ca_file) or None,
            "resolve": lambda host, port: [address],
            **changes,
        }
    )
    return CatalogWeb(UrlSource(rules), mirrors or {}, 1 << 20)


def told(reader, url):
    """Why a family is refused that reads there."""
    with pytest.raises(errors.CatalogRefused) as caught:
        reader.read("acme", url, 1000)
    return str(caught.value.facts["cause"])


def leading():
    """Answers of a server by path."""
    pages = {
        b"/list": answer(b"digests"),
        b"/moved": answer(b"", "Location: /list", status="302 Found"),
        b"/plain": answer(b"", f"Location: http://{HOST}/list", status="302 Found"),
        b"/local": answer(b"", "Location: https://10.0.0.8/list", status="302 Found"),
        b"/long": answer(b"x" * 1001),
    }
    return lambda head, connection: connection.sendall(
        pages.get(head.split(b" ")[1], answer(b"", status="404 Not Found"))
    )


def test_publishers_are_read_over_https_alone(certified):
    ca_file, context = certified
    with serving(leading(), context) as server:
        reader = web(server, ca_file)
        assert reader.read("acme", server.url("/list", host=HOST)) == b"digests"
        assert reader.read("acme", server.url("/moved", host=HOST)) == b"digests"
        assert "the scheme http is not allowed" in told(reader, f"http://{HOST}/list")
        for path, cause in (
            ("/plain", "a redirect is not followed: The URL does not pass filtering: the scheme http"),
            ("/local", "a redirect is not followed"),
            ("/long", "long has more than 1000 bytes."),
            ("/none", f"none cannot be read: https://{HOST}:{server.port}: the server answered 404."),
        ):  # fmt: skip
            assert cause in told(reader, server.url(path, host=HOST))


def test_a_publisher_at_a_private_address_is_not_asked(certified):
    ca_file, context = certified
    with serving(leading(), context) as server:
        reader = web(server, ca_file, allowed_networks=())
        cause = told(reader, server.url("/list", host=HOST))
        assert "is at 127.0.0.1, which may not be fetched from" in cause
        assert server.requests == []


def test_a_mirror_is_asked_instead_wherever_it_is(certified):
    with serving(leading()) as server:
        mirrors = catalog_web.mirrors(
            [f"https://{HOST}/ -> http://127.0.0.1:1/", f"https://{HOST}/a/->{server.url('/')}"]
        )
        reader = web(server, mirrors=mirrors, allowed_networks=(), allowed_ports=frozenset({443}))
        assert reader.read("acme", f"https://{HOST}/a/list") == b"digests"
        assert "http://127.0.0.1:1:" in told(reader, f"https://{HOST}/b/list")
        assert "a redirect is not followed" in told(reader, f"https://{HOST}/a/local")
        assert "too many redirects" in told(reader, f"https://{HOST}/a/moved")
        with reader.open("acme", f"https://{HOST}/a/list") as body:
            assert body.read(100) == b"digests"


@pytest.mark.parametrize(
    "line", ["https://a/", "https://a -> http://b/", "http://a/ -> http://b/", "https://a/ -> b"]
)
def test_a_mirror_map_of_another_form_is_refused(line):
    with pytest.raises(errors.ConfigurationError, match="mirror_map"):
        catalog_web.mirrors([line])
