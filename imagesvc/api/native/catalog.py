"""The catalog of public images, for administrators."""

import datetime
import json
from collections.abc import Sequence
from typing import Annotated

import falcon
import msgspec

from imagesvc.api import validate
from imagesvc.api.native import catalog_answer, query, views
from imagesvc.domain.catalog import Allowance
from imagesvc.domain.catalog_lock import LockFile, check
from imagesvc.domain.job import Job
from imagesvc.service_catalog import CatalogManagers

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Words = Annotated[list[Word], msgspec.Meta(max_length=1000)]


class NewSync(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a sync: all enabled families without `families`. With `lock` exactly what that lock
    file names is taken, and no source is asked for what is newest. The rest is refused unless it is
    asked for: an older build, less trust than before, what was rolled back."""

    families: Words = []
    lock: LockFile | None = None
    allow_downgrade: bool = False
    allow_weaker: bool = False
    again: bool = False


class NewVerification(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a verification: every image of the catalog without `image_ids`."""

    image_ids: Words = []


class NewPruning(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a pruning: all families without `families`."""

    families: Words = []


class CatalogFamiliesResource:
    """The families of the catalog."""

    def __init__(self, managers: CatalogManagers) -> None:
        self._catalog = managers

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List them by id."""
        query.known(req, set())
        found = self._catalog.families.list(req.context.caller)
        resp.media = {"families": [catalog_answer.family(one) for one in found]}


class CatalogFamilyResource:
    """One family."""

    def __init__(self, managers: CatalogManagers) -> None:
        self._catalog = managers

    def on_get(self, req: falcon.Request, resp: falcon.Response, family: str) -> None:
        """Show it with its builds."""
        query.known(req, set())
        found = self._catalog.families.get(req.context.caller, family)
        resp.media = {"family": catalog_answer.detail(*found)}


class CatalogPlanResource:
    """What a sync of a family would do."""

    def __init__(self, managers: CatalogManagers) -> None:
        self._catalog = managers

    def on_get(self, req: falcon.Request, resp: falcon.Response, family: str) -> None:
        """Ask its source; changes nothing."""
        query.known(req, set())
        found = self._catalog.families.plan(req.context.caller, family)
        resp.media = {"plan": catalog_answer.plan(found)}


class CatalogRollbackResource:
    """Going back to the build before."""

    def __init__(self, managers: CatalogManagers) -> None:
        self._catalog = managers

    def on_post(self, req: falcon.Request, resp: falcon.Response, family: str) -> None:
        """Make it the newest again; the one that was stays usable by id."""
        query.known(req, set())
        self._catalog.families.rollback(req.context.caller, family)
        found = self._catalog.families.get(req.context.caller, family)
        resp.media = {"family": catalog_answer.detail(*found)}


class CatalogLockResource:
    """The lock file: what is published now."""

    def __init__(self, managers: CatalogManagers) -> None:
        self._catalog = managers

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Give it; a sync takes it as it is."""
        query.known(req, set())
        resp.media = json.loads(self._catalog.families.lock(req.context.caller))


class CatalogSyncResource:
    """Taking what is new."""

    def __init__(self, managers: CatalogManagers) -> None:
        self._catalog = managers

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Start a job for each family; of one that goes on already, that job is told."""
        query.known(req, set())
        body = validate.body(req, NewSync)
        allowed = Allowance(body.allow_downgrade, body.allow_weaker, body.again)
        locked = check(body.lock) if body.lock is not None else None
        jobs = self._catalog.families.sync(req.context.caller, body.families, allowed, locked)
        _begun(resp, jobs)


class CatalogVerifyResource:
    """Whether images are still what their sources said."""

    def __init__(self, managers: CatalogManagers) -> None:
        self._catalog = managers

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Start a job for each image."""
        query.known(req, set())
        body = validate.body(req, NewVerification)
        _begun(resp, self._catalog.families.verify(req.context.caller, body.image_ids))


class CatalogPruneResource:
    """Old images that nothing needs."""

    def __init__(self, managers: CatalogManagers) -> None:
        self._catalog = managers

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Say which would be deleted; changes nothing."""
        query.known(req, set())
        resp.media = catalog_answer.pruning(*self._catalog.pruner.plan(req.context.caller))

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Delete them, and say which they were."""
        query.known(req, set())
        body = validate.body(req, NewPruning)
        found = self._catalog.pruner.prune(req.context.caller, body.families)
        resp.media = catalog_answer.pruning(*found)


def _begun(resp: falcon.Response, jobs: Sequence[Job]) -> None:
    now = datetime.datetime.now(datetime.UTC)
    resp.status = falcon.HTTP_202
    resp.media = {"jobs": [views.job(one, now) for one in jobs]}
