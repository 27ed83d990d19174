"""Which addresses a user-given URL may lead to, and what a name resolves to."""

import concurrent.futures
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator, Sequence

from imagesvc.stream.fetch_url import Address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# What `is_global` of Python 3.11 lets pass, and should not: protocol assignments, the former
# relays of 6to4, benchmarks, addresses shared by carriers.
_FOUR_DENIED = tuple(
    ipaddress.ip_network(text)
    for text in ("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15")
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Of IPv6 only global unicast is taken, and NAT64 for what is inside.
_SIX_ALLOWED = (ipaddress.ip_network("2000::/3"), _NAT64)
# Threads that wait for the system's resolver, which knows no limit of time: each ends when that
# gives up, half a minute at the usual settings.
_LOOKUPS = threading.BoundedSemaphore(32)
_SIX_DENIED = tuple(ipaddress.ip_network(text) for text in ("2001:db8::/32", "3fff::/20"))


def is_allowed(
    address: Address, *, allowed: Sequence[Network] = (), denied: Sequence[Network] = ()
) -> bool:
    """Whether the address and each one inside it is public, or an exception of the operator.

    What the operator denies wins over what the operator allows.
    """
    return all(
        not any(one in network for network in denied)
        and (any(one in network for network in allowed) or _is_public(one))
        for one in _judged(address)
    )


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, as the resolver gives them. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


def look_up(
    resolve: Callable[[str, int], Sequence[str]], host: str, port: int, seconds: float
) -> Sequence[str]:
    """What `resolve` says within so many seconds. Raises TimeoutError, and what it raises.

    A resolver that hangs keeps its thread, of which there are 32 at most; then names fail at once.
    """
    lookups = _LOOKUPS
    if not lookups.acquire(blocking=False):
        raise OSError(f"{host} is not looked up: too many names wait for an answer")
    answer: concurrent.futures.Future[Sequence[str]] = concurrent.futures.Future()

    def ask() -> None:
        try:
            answer.set_result(resolve(host, port))
        except BaseException as exc:  # told to whoever asked
            answer.set_exception(exc)
        finally:
            lookups.release()

    # Not of a pool: the process would wait for it at its end.
    threading.Thread(target=ask, name="look-up", daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError as exc:
        raise TimeoutError(f"{host} was not resolved in time") from exc


def _judged(address: Address) -> Iterator[Address]:
    """Yield the address and the IPv4 addresses that are written into it."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped  # the kernel sends to this one and knows no other
        return
    yield address
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _is_public(address: Address) -> bool:
    if address.is_multicast or address.is_reserved or not address.is_global:
        # NAT64 is reserved space to `ipaddress`; what is inside it is judged by itself.
        return address in _NAT64
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _FOUR_DENIED)
    return any(address in network for network in _SIX_ALLOWED) and not any(
        address in network for network in _SIX_DENIED
    )
