"""Images of other regions, read from their Image API v2 with the caller's own token."""

import contextlib
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from imagesvc import errors
from imagesvc.domain import remote_image
from imagesvc.domain.job import Job
from imagesvc.domain.remote_image import RemoteImage, RemoteRequest
from imagesvc.interface.identity import IdentityDriver
from imagesvc.manager.job_token import JobTokens
from imagesvc.stream import fetch
from imagesvc.stream.source import UrlSource

SERVICE_TYPE = "image"
DOCUMENT_BYTES_MAX = 1 << 20
_VERSION = re.compile(r"/v2(\.\d{1,2})?$")


class RemoteImages:
    """Finds the image service of a region in the catalogue, and reads from there.

    Only `regions` are asked. Host and port of their endpoints may be fetched from, whatever
    [fetch] allows to users; redirects are not followed, since the token must not leave.
    """

    def __init__(
        self,
        identity: IdentityDriver,
        urls: UrlSource,
        tokens: JobTokens,
        *,
        regions: Sequence[str],
        prefixes: Sequence[str],
    ) -> None:
        self._identity = identity
        self._urls = urls
        self._tokens = tokens
        self._regions = frozenset(regions)
        self._prefixes = tuple(prefixes)

    def check(self, remote: RemoteRequest | None) -> RemoteRequest:
        """Judge the words of what was asked for, before any work. Raises InvalidRequest.

        Where it leads is judged by `locate`, in the job: clients look for that in the task.
        """
        if remote is None or not remote.region or not remote.interface:
            raise errors.InvalidRequest("glance-download needs glance_region and glance_image_id.")
        with contextlib.suppress(ValueError):
            if str(uuid.UUID(remote.image_id)) == remote.image_id.lower():
                return remote
        raise errors.InvalidRequest("The remote image id does not look like a UUID.")

    def arguments(self, remote: RemoteRequest, job_id: str) -> Mapping[str, Any]:
        """What the job keeps of it; the token is sealed."""
        return {
            "region": remote.region,
            "remote_image_id": remote.image_id.lower(),
            "interface": remote.interface,
            **self._tokens.seal(remote.token, job_id),
        }

    def locate(self, job: Job) -> str:
        """The URL of the image at the other service, as the caller's catalogue says.

        Raises InvalidRequest for a region that the operator did not name and for an interface
        that there is not; NotFound, Unauthenticated, Unavailable of the identity backend.
        """
        region, interface = job.args["region"], job.args["interface"]
        if region not in self._regions:
            raise errors.InvalidRequest(
                "Images are not taken over from region {region}.", region=region
            )
        if interface not in remote_image.INTERFACES:
            raise errors.InvalidRequest(
                "glance_service_interface must be one of: {known}.",
                known=", ".join(remote_image.INTERFACES),
            )
        endpoint = self._identity.endpoint(
            self._tokens.open(job),
            SERVICE_TYPE,
            region=region,
            interface=interface,
        )
        root = _VERSION.sub("", endpoint.rstrip("/"))
        return f"{root}/v2/images/{job.args['remote_image_id']}"

    def describe(self, job: Job, url: str) -> RemoteImage:
        """What the other service says of the image. Raises FetchFailed, InvalidRequest."""
        with self._open(job, url, url) as body:
            text = _all_of(body)
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise errors.FetchFailed(operator_message=f"{url} gave no JSON: {exc}") from exc
        return remote_image.read(document, self._prefixes)

    def open(self, job: Job, url: str) -> contextlib.AbstractContextManager[fetch.FetchedBody]:
        """Open the bytes of the image. Raises FetchFailed, TooLarge, `read` too."""
        return self._open(job, url, f"{url}/file")

    def _open(
        self, job: Job, endpoint: str, url: str
    ) -> contextlib.AbstractContextManager[fetch.FetchedBody]:
        headers = {"X-Auth-Token": self._tokens.open(job), "X-OpenStack-Request-ID": job.request_id}
        return self._urls.trusting(endpoint).open(url, headers=headers)


def _all_of(body: fetch.FetchedBody) -> bytes:
    text = b""
    while data := body.read(DOCUMENT_BYTES_MAX):
        text += data
        if len(text) > DOCUMENT_BYTES_MAX:
            raise errors.TooLarge(
                what="The description of the image", limit=DOCUMENT_BYTES_MAX, unit="bytes"
            )
    return text
