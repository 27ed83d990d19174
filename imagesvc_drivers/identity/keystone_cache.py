"""What Keystone said of tokens, for a short while; and one question at a time about each.

Keys are SHA-256 of the token, so that memory holds no token. Safe for many threads.
"""

import collections
import concurrent.futures
import dataclasses
import datetime
import hashlib
import threading
import time
from collections.abc import Callable

from imagesvc.interface import errors, identity


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """A token as Keystone described it: `body` is the JSON of its answer.

    `restricted`: an application credential with access rules, which allow some requests alone.
    """

    body: bytes = dataclasses.field(repr=False)
    identity: identity.Identity
    expires_at: datetime.datetime
    restricted: bool = False


class TokenCache:
    """At most `entries_max` tokens, each for `keep_s` seconds and never beyond its own expiry."""

    def __init__(self, keep_s: float, entries_max: int, wait_s: float) -> None:
        self._keep_s = keep_s
        self._entries_max = entries_max
        self._wait_s = wait_s
        self._lock = threading.Lock()  # guards both dicts
        self._entries: collections.OrderedDict[bytes, tuple[float, Known]] = (
            collections.OrderedDict()
        )
        self._asked: dict[tuple[bytes, bool], concurrent.futures.Future[Known]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, token: str) -> Known | None:
        """What is known of a token now, without asking anybody."""
        return self._get(_key(token))

    def get_or_ask(self, token: str, ask: Callable[[], Known], *, allow_expired: bool) -> Known:
        """The same, or what `ask` says; callers with the same token at once share one question.

        Raises what `ask` raises, and Unavailable where another caller's question takes too long.
        """
        key = _key(token)
        with self._lock:
            known = self._fresh(key)
            if known is not None:
                return known
            flight = self._asked.get((key, allow_expired))
            mine = flight is None
            if flight is None:
                flight = self._asked[key, allow_expired] = concurrent.futures.Future()
        if not mine:
            return self._wait(flight)
        try:
            known = ask()
            self._keep(key, known)
            flight.set_result(known)
        except BaseException as exc:
            flight.set_exception(exc)
            raise
        finally:
            with self._lock:
                self._asked.pop((key, allow_expired), None)
        return known

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

    def _wait(self, flight: concurrent.futures.Future[Known]) -> Known:
        try:
            return flight.result(self._wait_s)
        except concurrent.futures.TimeoutError as exc:
            raise errors.Unavailable(
                "The identity service does not answer; ask again later.",
                "Keystone did not answer another request about the same token in time",
            ) from exc

    def _get(self, key: bytes) -> Known | None:
        with self._lock:
            return self._fresh(key)

    def _fresh(self, key: bytes) -> Known | None:
        """Call with the lock held."""
        until, known = self._entries.get(key, (0.0, None))
        if known is None:
            return None
        if time.monotonic() >= until or known.expires_at <= _now():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return known

    def _keep(self, key: bytes, known: Known) -> None:
        if self._keep_s <= 0 or known.expires_at <= _now():
            return
        with self._lock:
            self._entries[key] = (time.monotonic() + self._keep_s, known)
            self._entries.move_to_end(key)
            while len(self._entries) > self._entries_max:
                self._entries.popitem(last=False)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
