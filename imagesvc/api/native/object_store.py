"""Object stores: where a project's buckets are, and the key that opens them."""

from typing import Annotated

import falcon
import msgspec

from imagesvc import errors
from imagesvc.api import validate
from imagesvc.api.native import query, views
from imagesvc.domain import object_store as domain
from imagesvc.manager import object_store as object_stores

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=domain.NAME_LENGTH_MAX)]
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
Region = Annotated[str, msgspec.Meta(pattern=domain.REGION_PATTERN)]
Bucket = Annotated[str, msgspec.Meta(pattern=domain.BUCKET_PATTERN)]
BucketList = Annotated[tuple[Bucket, ...], msgspec.Meta(max_length=domain.BUCKETS_MAX)]
# What may stand in a header: S3 sends the one, and signs with the other.
AccessKey = Annotated[
    str, msgspec.Meta(min_length=1, max_length=domain.ACCESS_KEY_LENGTH_MAX, pattern="^[!-~]+$")
]
SecretKey = Annotated[
    str, msgspec.Meta(min_length=1, max_length=domain.SECRET_LENGTH_MAX, pattern="^[!-~]+$")
]


class NewObjectStore(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a new object store; without `buckets` all that the key opens may be used."""

    name: Name
    endpoint: Url
    access_key: AccessKey
    secret_key: SecretKey
    region: Region = "us-east-1"
    buckets: BucketList = ()


class ObjectStoreChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a change; what is left out stays. The two keys come together."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    region: Region | msgspec.UnsetType = msgspec.UNSET
    buckets: BucketList | msgspec.UnsetType = msgspec.UNSET
    access_key: AccessKey | msgspec.UnsetType = msgspec.UNSET
    secret_key: SecretKey | msgspec.UnsetType = msgspec.UNSET


class ObjectStoresResource:
    """The object stores of the caller's project."""

    def __init__(self, manager: object_stores.ObjectStoreManager) -> None:
        self._object_stores = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List by name."""
        page = query.page(req, set())
        found = self._object_stores.list(
            req.context.caller, marker=page.marker, limit=page.limit
        )  # fmt: skip
        resp.media = query.answer(
            "object_stores", found, page, views.object_store, lambda store: store.name
        )

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Keep a key."""
        body = validate.body(req, NewObjectStore)
        new = domain.NewObjectStore(**msgspec.structs.asdict(body))
        found = self._object_stores.create(req.context.caller, new)
        resp.status = falcon.HTTP_201
        resp.media = {"object_store": views.object_store(found)}


class ObjectStoreResource:
    """One object store."""

    def __init__(self, manager: object_stores.ObjectStoreManager) -> None:
        self._object_stores = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response, object_store_id: str) -> None:
        """Show it, without its secret key."""
        query.known(req, set())
        found = self._object_stores.get(req.context.caller, object_store_id)
        resp.media = {"object_store": views.object_store(found)}

    def on_patch(self, req: falcon.Request, resp: falcon.Response, object_store_id: str) -> None:
        """Change it."""
        query.known(req, set())
        body = validate.body(req, ObjectStoreChange)
        given = msgspec.structs.asdict(body)
        changes = {name: value for name, value in given.items() if value is not msgspec.UNSET}
        if ("access_key" in changes) != ("secret_key" in changes):
            raise errors.InvalidRequest("access_key and secret_key are set together.")
        found = self._object_stores.update(req.context.caller, object_store_id, changes)
        resp.media = {"object_store": views.object_store(found)}

    def on_delete(self, req: falcon.Request, resp: falcon.Response, object_store_id: str) -> None:
        """Forget it."""
        query.known(req, set())
        self._object_stores.delete(req.context.caller, object_store_id)
        resp.status = falcon.HTTP_204
