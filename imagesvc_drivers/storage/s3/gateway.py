"""The gateways of one S3 cluster: a request that fails at one goes on at the next.

boto3 would repeat a request at the same endpoint alone, so its own repeats are off and these take
their place, for the same errors: no answer, a broken one, 5xx, slow down.
"""

import concurrent.futures
import os
import random
import threading
import time
from typing import Any

from imagesvc_drivers.client import s3
from imagesvc_drivers.storage.s3 import fault

_PAUSE_S, _PAUSE_MAX_S = 0.1, 2.0


class Patience:
    """For how long, and with which pauses, something is tried again."""

    def __init__(self, retry_s: float, endpoints: int) -> None:
        self._end = time.monotonic() + retry_s
        self._endpoints = endpoints
        self._failures = 0

    def fails(self) -> bool:
        """Note a failure and pause after each round; whether to try no more."""
        self._failures += 1
        if self._failures % self._endpoints:
            return False
        if time.monotonic() >= self._end:
            return True
        rounds = self._failures // self._endpoints
        pause = min(_PAUSE_MAX_S, _PAUSE_S * 2**rounds)
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        return False


class Gateways:
    """Calls of one bucket; for many threads. Clients are made at first use in each process."""

    def __init__(
        self,
        access: s3.Access,
        endpoints: tuple[str | None, ...],
        bucket: str,
        *,
        retry_s: float,
    ) -> None:
        self._access = access
        self._endpoints = endpoints
        self._bucket = bucket
        self._retry_s = retry_s
        self._preferred = 0
        self._lock = threading.Lock()
        self._clients: dict[tuple[int, int], Any] = {}

    def patience(self) -> Patience:
        """A fresh one."""
        return Patience(self._retry_s, len(self._endpoints))

    def call(self, what: str, operation: str, **arguments: Any) -> dict[str, Any]:
        """One operation of boto3's client on the bucket; its answer.

        The answer of an earlier try may have been lost: the operation may have been done before.
        Raises the errors of the contract; `what` says for them what was tried.
        """
        patience = self.patience()
        while True:
            index = self._preferred
            try:
                answer: dict[str, Any] = getattr(self._client(index), operation)(
                    Bucket=self._bucket, **arguments
                )
            except fault.ALL as exc:
                if not fault.is_passing(exc) or self.leave(index, patience):
                    raise fault.translate(exc, what, self.name(index)) from exc
            else:
                # Who reads the body leaves the gateway that breaks it off.
                answer["Gateway"] = index
                return answer

    def leave(self, index: int, patience: Patience) -> bool:
        """Go on with the next gateway, if it is still this one; whether to try no more."""
        if self._preferred == index:
            self._preferred = (index + 1) % len(self._endpoints)
        return patience.fails()

    def presign(self, endpoint: str | None, operation: str, name: str, expires_s: int) -> str:
        """A signed URL of one object; no request is made."""
        client = s3.client(self._access, endpoint or self._endpoints[0])
        try:
            url: str = client.generate_presigned_url(
                operation, {"Bucket": self._bucket, "Key": name}, expires_s
            )
        except fault.ALL as exc:
            raise fault.translate(exc, "cannot sign", self.name(0)) from exc
        finally:
            client.close()
        return url

    def probe(self, access: s3.Access, prefix: str) -> list[str]:
        """Ask each gateway once, all at once; what is wrong with each, empty if nothing."""
        indexes = range(len(self._endpoints))
        with concurrent.futures.ThreadPoolExecutor(len(self._endpoints)) as pool:
            return list(pool.map(lambda index: self._probe(access, index, prefix), indexes))

    def _probe(self, access: s3.Access, index: int, prefix: str) -> str:
        client = self._client(index, access)
        try:
            client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=1)
        except fault.ALL as exc:
            return fault.translate(exc, "cannot list", self.name(index)).operator_message
        return ""

    def name(self, index: int) -> str:
        """How messages call a gateway."""
        return self._endpoints[index] or f"S3 in {self._access.region}"

    def close(self) -> None:
        """Close all connections; the next call opens new ones."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    def _client(self, index: int, access: s3.Access | None = None) -> Any:
        used = access or self._access
        place = (os.getpid(), index if access is None else index + len(self._endpoints))
        with self._lock:
            if place not in self._clients:
                self._clients[place] = s3.client(used, self._endpoints[index])
            return self._clients[place]
