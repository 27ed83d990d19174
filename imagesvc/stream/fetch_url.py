"""The grammar of URLs that users give: RFC 3986, without all that parsers disagree on."""

import dataclasses
import ipaddress
import re
from urllib.parse import urljoin

from imagesvc import errors

LENGTH_MAX = 4096
PORTS = {"http": 80, "https": 443}

_HEX = r"%[0-9A-Fa-f]{2}"
_CHARACTERS = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|{_HEX})"
# The authority takes neither user names nor percent signs: no credentials, no zone ids.
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?"
    rf"(?P<path>/{_CHARACTERS}*)?(?P<query>\?(?:{_CHARACTERS}|\?)*)?"
    rf"(?:\#(?:(?!@)(?:{_CHARACTERS}|\?))*)?"
)
_REFERENCE = re.compile(rf"(?:{_CHARACTERS}|[?#\[\]])+")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
# The last label begins with a letter: resolvers read 1, 0177 and 0x7f as numbers of an address.
_LAST_LABEL = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_NAME_LENGTH_MAX = 253

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclasses.dataclass(frozen=True, slots=True)
class Url:
    """The parts of a URL, lower case where case means nothing; `address` if the host is one."""

    scheme: str
    host: str
    port: int
    target: str
    address: Address | None

    @property
    def origin(self) -> str:
        """Scheme, host and port, with brackets where they belong."""
        return f"{self.scheme}://{self._shown}:{self.port}"

    @property
    def host_header(self) -> str:
        """The Host header: the port only where it is not the scheme's own."""
        own = PORTS.get(self.scheme) == self.port
        return self._shown if own else f"{self._shown}:{self.port}"

    @property
    def _shown(self) -> str:
        return f"[{self.host}]" if self.address and self.address.version == 6 else self.host


def parse(text: str) -> Url:
    """Take a URL apart; whoever connects uses these parts and never the text.

    Raises InvalidRequest (URL_REFUSED).
    """
    if len(text) > LENGTH_MAX:
        raise refused(f"it is longer than {LENGTH_MAX} characters")
    found = _URL.fullmatch(text)
    if found is None:
        raise refused("it is not of the form scheme://host[:port]/path in plain ASCII")
    scheme = found["scheme"].lower()
    host, address = _host(found["six"], found["host"])
    port = int(found["port"] or PORTS.get(scheme, 0))
    if not 0 < port < 65536:
        raise refused("its port is out of range")
    return Url(scheme, host, port, (found["path"] or "/") + (found["query"] or ""), address)


def join(base: Url, reference: str) -> Url:
    """Where a Location header leads from `base`. Raises InvalidRequest (URL_REFUSED)."""
    if len(reference) > LENGTH_MAX or not _REFERENCE.fullmatch(reference):
        raise refused("a redirect is not plain ASCII")
    return parse(urljoin(base.origin + base.target, reference))


def refused(cause: str) -> errors.InvalidRequest:
    """The error for a URL that is refused before anything is sent."""
    return errors.InvalidRequest(
        "The URL does not pass filtering: {cause}.", reason=errors.Reason.URL_REFUSED, cause=cause
    )


def _host(six: str | None, name: str | None) -> tuple[str, Address | None]:
    address = _address(six or name or "")
    if six is not None:
        if address is None or address.version != 6:
            raise refused("there is no IPv6 address in its brackets")
        return str(address), address
    if address is not None:
        return str(address), address
    host = (name or "").lower().removesuffix(".")
    labels = host.split(".")
    if (
        len(host) > _NAME_LENGTH_MAX
        or not all(_LABEL.fullmatch(label) for label in labels)
        or not _LAST_LABEL.fullmatch(labels[-1])
    ):
        raise refused("its host is neither a DNS name nor an address in its usual form")
    return host, None


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:  # then it is a name, or nothing
        return None
