"""What the operator allows to be fetched, section [fetch]."""

import dataclasses
import ipaddress
from collections.abc import Callable, Sequence

from oslo_config import cfg

from imagesvc import errors
from imagesvc.stream import fetch_address, fetch_url

OPTS = (
    cfg.ListOpt(
        "allowed_schemes",
        default=["http", "https"],
        help="Schemes of URLs that are fetched for users; no others than http and https exist.",
    ),
    cfg.ListOpt(
        "allowed_ports",
        default=["80", "443"],
        help="TCP ports that URLs of users may name. Each one more can be reached on all hosts "
        "that may be reached.",
    ),
    cfg.ListOpt(
        "allowed_hosts",
        default=[],
        help="Host names, such as an internal mirror's, that may resolve to addresses which are "
        "not public. Whoever answers for these names in DNS can lead the service to any address.",
    ),
    cfg.ListOpt(
        "allowed_networks",
        default=[],
        help="Networks that may be fetched from though they are not public. Users can reach every "
        "host in them on the allowed ports.",
    ),
    cfg.ListOpt(
        "denied_networks",
        default=[],
        help="Networks that are never fetched from; for public addresses of the operator's own. "
        "Wins over allowed_hosts and allowed_networks.",
    ),
    cfg.IntOpt("max_bytes", default=1 << 40, min=1, help="Most bytes of one fetch (1 TiB)."),
    cfg.FloatOpt(
        "answer_timeout_s",
        default=15.0,
        min=0.1,
        help="Seconds for name, connection, redirects and the head of the answer together. Every "
        "failure before the first byte is told after this time and not before, so that nobody "
        "learns from a clock which ports are open.",
    ),
    cfg.FloatOpt(
        "idle_timeout_s", default=30.0, min=0.1, help="Seconds without a byte that end a fetch."
    ),
    cfg.FloatOpt(
        "total_timeout_s", default=21600.0, min=1.0, help="Seconds that one fetch may take."
    ),
    cfg.IntOpt(
        "min_rate_bytes",
        default=1024,
        min=0,
        help="Bytes a second below which a fetch ends, on the average of idle_timeout_s; 0: no "
        "minimum. Time in which the service is slow does not count.",
    ),
    cfg.IntOpt("max_redirects", default=5, min=0, max=20, help="Redirects that are followed."),
    cfg.StrOpt(
        "ca_file",
        default="",
        help="File with the PEM certificates that https is checked with; empty: the system's.",
    ),
)


@dataclasses.dataclass(frozen=True, slots=True)
class FetchRules:
    """Bounds of a fetch: bytes, seconds, bytes a second. `resolve(host, port)` gives addresses.

    With `hides_failures` each takes as long as any other, so that clocks tell users nothing.
    """

    allowed_schemes: frozenset[str] = frozenset({"http", "https"})
    allowed_ports: frozenset[int] = frozenset({80, 443})
    allowed_hosts: frozenset[str] = frozenset()
    allowed_networks: tuple[fetch_address.Network, ...] = ()
    denied_networks: tuple[fetch_address.Network, ...] = ()
    max_bytes: int = 1 << 40
    answer_timeout_s: float = 15.0
    idle_timeout_s: float = 30.0
    total_timeout_s: float = 21600.0
    min_rate_bytes: int = 1024
    max_redirects: int = 5
    ca_file: str | None = None
    hides_failures: bool = True
    resolve: Callable[[str, int], Sequence[str]] = fetch_address.resolve

    def allows_address(self, url: fetch_url.Url, address: fetch_url.Address) -> bool:
        """Whether the host of `url` may be fetched from at this address."""
        everywhere = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
        named = url.address is None and url.host in self.allowed_hosts
        allowed = everywhere if named else self.allowed_networks
        return fetch_address.is_allowed(address, allowed=allowed, denied=self.denied_networks)

    def trusting(self, url: fetch_url.Url) -> "FetchRules":
        """The rules for a URL that the operator gave: its host and port may be asked, no other.

        No redirect is followed, whoever it leads to.
        """
        networks = () if url.address is None else (ipaddress.ip_network(str(url.address)),)
        return dataclasses.replace(
            self,
            allowed_schemes=frozenset({url.scheme}) & fetch_url.PORTS.keys(),
            allowed_ports=frozenset({url.port}),
            allowed_hosts=frozenset({url.host}),
            allowed_networks=networks,
            max_redirects=0,
        )


def from_conf(conf: cfg.ConfigOpts) -> FetchRules:
    """The rules of the configuration. Raises ConfigurationError."""
    own = conf.fetch
    schemes = frozenset(word.lower() for word in own.allowed_schemes)
    if not schemes <= fetch_url.PORTS.keys():
        raise errors.ConfigurationError("[fetch] allowed_schemes takes http and https only.")
    try:
        ports = frozenset(int(word) for word in own.allowed_ports)
        allowed = tuple(ipaddress.ip_network(word) for word in own.allowed_networks)
        denied = tuple(ipaddress.ip_network(word) for word in own.denied_networks)
    except ValueError as exc:  # the operator's text, not a request's
        raise errors.ConfigurationError(
            f"[fetch] has a port or network that is none: {exc}."
        ) from exc
    return FetchRules(
        allowed_schemes=schemes,
        allowed_ports=ports,
        allowed_hosts=frozenset(word.lower().removesuffix(".") for word in own.allowed_hosts),
        allowed_networks=allowed,
        denied_networks=denied,
        max_bytes=own.max_bytes,
        answer_timeout_s=own.answer_timeout_s,
        idle_timeout_s=own.idle_timeout_s,
        total_timeout_s=own.total_timeout_s,
        min_rate_bytes=own.min_rate_bytes,
        max_redirects=own.max_redirects,
        ca_file=own.ca_file or None,
    )


def check(url: fetch_url.Url, rules: FetchRules) -> None:
    """Judge all of a URL that needs no network. Raises InvalidRequest (URL_REFUSED)."""
    if url.scheme not in rules.allowed_schemes:
        raise fetch_url.refused(f"the scheme {url.scheme} is not allowed here")
    if url.port not in rules.allowed_ports:
        raise fetch_url.refused(f"port {url.port} of {url.host} is not allowed here")
    local = url.host == "localhost" or url.host.endswith(".localhost")
    address = ipaddress.ip_address("127.0.0.1") if local else url.address
    if address is not None and not rules.allows_address(url, address):
        raise fetch_url.refused("its host is not a public one")
