"""Resumable uploads by tus 1.0 with Creation, Expiration, Checksum and Termination."""

from typing import Any

import falcon

from imagesvc.api import media
from imagesvc.api.native import query, upload_header, upload_view
from imagesvc.context import RequestContext
from imagesvc.domain import upload as domain
from imagesvc.domain.upload import Upload
from imagesvc.manager import upload as uploads

PATH = "/imagesvc/v1/uploads"
_JOBS = "/imagesvc/v1/jobs"


class UploadsResource:
    """The project's uploads."""

    body_bytes_max = None
    moves_bytes = frozenset({"POST"})

    def __init__(self, manager: uploads.UploadManager, writer: Any, root: str) -> None:
        self._uploads = manager
        self._writer = writer
        self._root = root

    def on_options(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Say what of tus there is here."""
        resp.set_header("Tus-Resumable", upload_header.VERSION)
        resp.set_header("Tus-Version", upload_header.VERSION)
        resp.set_header("Tus-Extension", ",".join(upload_header.EXTENSIONS))
        resp.set_header("Tus-Max-Size", str(self._uploads.limits.size_cap_bytes))
        resp.set_header("Tus-Checksum-Algorithm", ",".join(domain.CHECKSUMS))
        resp.set_header("Allow", "GET, OPTIONS, POST")
        resp.status = falcon.HTTP_204

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List, newest first."""
        page = query.page(req, frozenset())
        found = self._uploads.list(req.context.caller, marker=page.marker, limit=page.limit)
        resp.media = query.answer(
            "uploads", found, page, upload_view.render, lambda upload: upload.id
        )

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Begin one; the body may hold its first bytes."""
        upload_header.begin(req, resp)
        new, checksum = upload_header.new_upload(req), upload_header.checksum(req)
        reader = None
        if media.content_type(req):
            upload_header.require_octets(req)
            reader = media.body(req)
        caller: RequestContext = req.context.caller
        upload = self._uploads.create(caller, new)
        root = (self._root or req.prefix).rstrip("/")
        resp.set_header("Location", f"{root}{PATH}/{upload.id}")
        upload_header.answer(resp, upload)
        if reader is not None and req.content_length != 0:
            upload = self._writer.write(
                caller, upload.id, 0, reader, announced=req.content_length, checksum=checksum
            )
            upload_header.answer(resp, upload)
        resp.status = falcon.HTTP_201


class UploadResource:
    """One upload."""

    serves_regions = True
    body_bytes_max = None
    moves_bytes = frozenset({"PATCH"})

    def __init__(self, manager: uploads.UploadManager, writer: Any, root: str) -> None:
        self._uploads = manager
        self._writer = writer
        self._root = root

    def on_head(self, req: falcon.Request, resp: falcon.Response, upload_id: str) -> None:
        """Say how many bytes are safe."""
        upload_header.begin(req, resp)
        resp.set_header("Cache-Control", "no-store")
        upload = self._uploads.get(req.context.caller, upload_id)
        upload_header.answer(resp, upload)
        if upload.size_bytes is None:
            resp.set_header("Upload-Defer-Length", "1")
        else:
            resp.set_header("Upload-Length", str(upload.size_bytes))
        if upload.client_metadata:
            resp.set_header("Upload-Metadata", upload.client_metadata)

    def on_get(self, req: falcon.Request, resp: falcon.Response, upload_id: str) -> None:
        """Show it as JSON."""
        query.known(req, set())
        upload = self._uploads.get(req.context.caller, upload_id)
        resp.media = {"upload": upload_view.render(upload)}

    def on_patch(self, req: falcon.Request, resp: falcon.Response, upload_id: str) -> None:
        """Add bytes; the answer to the last ones names the job that makes the image of them."""
        upload_header.begin(req, resp)
        upload_header.require_octets(req)
        upload = self._writer.write(
            req.context.caller,
            upload_id,
            upload_header.offset(req),
            media.body(req),
            announced=req.content_length,
            size=upload_header.number(req, "Upload-Length"),
            checksum=upload_header.checksum(req),
        )
        upload_header.answer(resp, upload)
        self._name_job(req, resp, upload)
        resp.status = falcon.HTTP_204

    def on_delete(self, req: falcon.Request, resp: falcon.Response, upload_id: str) -> None:
        """Give it up; its bytes are removed."""
        upload_header.begin(req, resp)
        self._uploads.delete(req.context.caller, upload_id)
        resp.status = falcon.HTTP_204

    def _name_job(self, req: falcon.Request, resp: falcon.Response, upload: Upload) -> None:
        if upload.job_id is not None:
            root = (self._root or req.prefix).rstrip("/")
            resp.set_header("Location", f"{root}{_JOBS}/{upload.job_id}")
