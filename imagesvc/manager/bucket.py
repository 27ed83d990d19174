"""Buckets of callers: which may be used, and how they are opened with the caller's own key.

Never the service's key, and never the service's bucket: an import from it would read every
project's images, an export into it would write over them.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator

from oslo_config import cfg

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.db import object_store as object_store_rows
from imagesvc.db.engine import Database
from imagesvc.domain import object_store as domain
from imagesvc.domain.object_store import ObjectStore
from imagesvc.errors import Reason
from imagesvc.interface.storage import OwnBucket
from imagesvc.manager.seal import Sealer
from imagesvc.stream import bucket, fetch_address, fetch_rule, fetch_url, s3_signature

OPTS = (
    cfg.ListOpt(
        "allowed_endpoints",
        default=[],
        help="Endpoints, as URLs of S3 servers, that object stores of users may name; each may be "
        "on a host and port that [fetch] keeps from users. Empty: any endpoint that [fetch] "
        "allows.",
    ),
)
_AMAZON = "amazonaws.com"
_LOOKUP_S = 5.0


class Buckets:
    """Judges endpoints, keys and buckets, and opens buckets. One a process."""

    def __init__(
        self,
        database: Database,
        backends: Backends,
        sealer: Sealer,
        rules: fetch_rule.FetchRules,
        allowed_endpoints: Iterable[str],
    ) -> None:
        self._database = database
        self._backends = backends
        self._sealer = sealer
        self._rules = rules
        self._allowed = frozenset(_origin(one) for one in allowed_endpoints)

    def check_endpoint(self, endpoint: str) -> str:
        """The URL of an endpoint in its one form. Raises InvalidRequest (URL_REFUSED)."""
        url = fetch_url.parse(endpoint)
        if url.target != "/":
            raise fetch_url.refused("an endpoint is scheme, host and port alone")
        self._rules_for(url)
        return f"{url.scheme}://{url.host_header}"

    def check_access_key(self, access_key: str) -> str:
        """Raises InvalidRequest for a key that is the service's own."""
        if any(own.access_key == access_key for own in self._own()):
            raise errors.InvalidRequest("This access key is the service's own.")
        return access_key

    def check(self, store: ObjectStore, name: str, key: str) -> None:
        """Judge a place in a bucket. Raises InvalidRequest, Forbidden; URL_REFUSED if the
        operator allows the endpoint no more; BucketAway for a name that is not resolved.

        Looks a name up if the bucket is called as the service's own: not for a transaction."""
        domain.check_bucket(name)
        domain.check_key(key)
        if store.buckets and name not in store.buckets:
            raise errors.Forbidden(f"The object store {store.name} is not for bucket {name}.")
        url = fetch_url.parse(store.endpoint)
        self._rules_for(url)
        self.check_access_key(store.access_key)
        if any(_is_same(url, name, own) for own in self._own()):
            raise errors.Forbidden(f"The bucket {name} is the service's own.")

    def open(self, project_id: str, store_id: str, name: str, key: str) -> bucket.Bucket:
        """The bucket, judged once more. Raises ObjectStoreNotFound, Conflict, what `check` does."""
        with self._database.read() as conn:
            store = object_store_rows.get(conn, store_id, project_id)
        self.check(store, name, key)
        secret = self._sealer.open(store.sealed_key, store.id)
        if secret is None:
            raise errors.Conflict(
                "The secret key of object store {name} cannot be read any more; set it again.",
                name=store.name,
            )
        credentials = s3_signature.Credentials(store.region, store.access_key, secret)
        rules = self._rules_for(fetch_url.parse(store.endpoint))
        return bucket.Bucket(store.endpoint, name, credentials, rules)

    def seal(self, store_id: str, secret_key: str) -> str:
        """The secret key as the row of this id keeps it."""
        return self._sealer.seal(secret_key, store_id)

    def _rules_for(self, url: fetch_url.Url) -> fetch_rule.FetchRules:
        if self._allowed:
            if url.origin not in self._allowed:
                raise errors.InvalidRequest(
                    "Object stores at {endpoint} are not allowed here.",
                    endpoint=url.origin,
                    reason=Reason.URL_REFUSED,
                )
            return self._rules.trusting(url)
        fetch_rule.check(url, self._rules)
        return dataclasses.replace(self._rules, max_redirects=0)

    def _own(self) -> Iterator[OwnBucket]:
        for store_id in self._backends.ids("storage"):
            with contextlib.suppress(errors.BackendFailed):
                own = self._backends.storage(store_id).own_bucket()
                if own is not None:
                    yield own


def _origin(endpoint: str) -> str:
    try:
        return fetch_url.parse(endpoint).origin
    except errors.InvalidRequest as exc:  # the operator's text, not a request's
        raise errors.ConfigurationError(
            f"[object_store] allowed_endpoints names {endpoint}: {exc.text}"
        ) from exc


def _is_same(url: fetch_url.Url, name: str, own: OwnBucket) -> bool:
    """Whether this bucket there is the service's, under this name or another of its host's."""
    if url.host.startswith(f"{own.bucket}."):
        return True  # a host of the bucket's own: there, what we take for the bucket is a folder
    if name != own.bucket:
        return False
    if not own.endpoints:
        return url.host.endswith(_AMAZON)
    hosts = [fetch_url.parse(one) for one in own.endpoints]
    if any(one.host == url.host for one in hosts):
        return True
    return bool(_addresses(url) & set().union(*map(_addresses, hosts)))


def _addresses(url: fetch_url.Url) -> set[str]:
    if url.address is not None:
        return {str(url.address)}
    try:
        return set(fetch_address.look_up(fetch_address.resolve, url.host, url.port, _LOOKUP_S))
    except OSError as exc:  # whose bucket it is stays open: it is nobody's to use until then
        raise errors.BucketAway(operator_message=f"{url.host_header}: {exc}") from exc
