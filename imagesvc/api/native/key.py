"""Keys of the KMS: those of the caller's project, and which of them is its default."""

import datetime
import uuid
from typing import Annotated

import falcon
import msgspec

from imagesvc import errors
from imagesvc.api import validate
from imagesvc.api.native import idempotency, query, views
from imagesvc.manager import key as keys

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class NewKey(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a new key; without `backend_id` the default KMS makes it."""

    name: Text
    backend_id: Text | None = None


class KeyChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a change: whether the key opens anything, or that it is the project's default."""

    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    default: Annotated[bool, msgspec.Meta(description="only true")] | msgspec.UnsetType = (
        msgspec.UNSET
    )


class KeysResource:
    """The keys of the caller's project."""

    def __init__(self, manager: keys.KeyManager) -> None:
        self._keys = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List by backend and id; `backend_id` names one KMS."""
        query.known(req, {"backend_id"})
        found = self._keys.list(req.context.caller, req.get_param("backend_id"))
        resp.media = {"keys": [views.key(one) for one in found]}

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Make a key; a repeated Idempotency-Key gives the first one."""
        body = validate.body(req, NewKey)
        token = idempotency.key(req) or uuid.uuid4().hex
        made = self._keys.create(req.context.caller, body.name, body.backend_id, token)
        resp.status = falcon.HTTP_201
        resp.media = {"key": views.key(made)}


class KeyResource:
    """One key."""

    def __init__(self, manager: keys.KeyManager) -> None:
        self._keys = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        """Show it; what it consists of never comes out."""
        query.known(req, set())
        resp.media = {"key": views.key(self._keys.get(req.context.caller, key_id))}

    def on_patch(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        """Disable it, enable it, or make it the default of the project."""
        query.known(req, set())
        body = validate.body(req, KeyChange)
        caller = req.context.caller
        if (body.enabled is msgspec.UNSET) == (body.default is msgspec.UNSET):
            raise errors.InvalidRequest("Give either enabled or default.")
        if isinstance(body.enabled, bool):
            found = self._keys.set_enabled(caller, key_id, body.enabled)
        elif body.default is True:
            found = self._keys.set_default(caller, key_id)
        else:
            raise errors.InvalidRequest("Another key becomes the default instead.")
        resp.media = {"key": views.key(found)}


class KeyRotateResource:
    """A new version of a key."""

    def __init__(self, manager: keys.KeyManager) -> None:
        self._keys = manager

    def on_post(self, req: falcon.Request, resp: falcon.Response, key_id: str) -> None:
        """Make it, and start the job that wraps all data keys anew."""
        query.known(req, set())
        found, job = self._keys.rotate(req.context.caller, key_id)
        resp.status = falcon.HTTP_202
        now = datetime.datetime.now(datetime.UTC)
        resp.media = {"key": views.key(found), "job": views.job(job, now)}
