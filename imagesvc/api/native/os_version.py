"""The systems that images may have."""

import falcon

from imagesvc.api.native import query
from imagesvc.api.native.answer import Answer
from imagesvc.manager.os_version import OSVersionManager


class OsVersion(Answer):
    """A system; `os_type` is Linux, Windows or Other, `architectures` are those of its images."""

    os_type: str
    platform: str
    version: str
    bits: int
    architectures: list[str]


class OsVersionList(Answer):
    """All systems, by type, platform and version."""

    os_versions: list[OsVersion]


class OsVersionsResource:
    """The systems that the catalog knows."""

    def __init__(self, manager: OSVersionManager) -> None:
        self._versions = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List them."""
        query.known(req, set())
        resp.media = {
            "os_versions": [
                {
                    "os_type": one.os_type,
                    "platform": one.platform,
                    "version": one.version,
                    "bits": one.bits,
                    "architectures": list(one.architectures),
                }
                for one in self._versions.list(req.context.caller)
            ]
        }
