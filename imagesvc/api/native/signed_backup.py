"""Bytes of a backup's disk by a signed URL, for backends that hold no token."""

import falcon

from imagesvc import errors
from imagesvc.api import download
from imagesvc.api.native import query, signed_file
from imagesvc.api.native.image_disk import INDEX_DIGITS_MAX
from imagesvc.manager import backup_file as backup_files
from imagesvc.manager.signed_url import BackupPlace


class SignedBackupResource:
    """One disk of one backup, until the job of the URL has ended."""

    anonymous = True
    moves_bytes = True

    def __init__(self, files: backup_files.BackupFileManager) -> None:
        self._files = files

    def on_get(self, req: falcon.Request, resp: falcon.Response, backup_id: str, disk: str) -> None:
        """Give the bytes, or one range of them."""
        query.known(req, {"backend_id", "project_id", "job", "expires", "signature"})
        proof = signed_file.proof_of(req)
        if not (disk.isascii() and disk.isdigit()) or len(disk) > INDEX_DIGITS_MAX:
            raise errors.BackupNotFound(backup_id=backup_id)
        place = BackupPlace(
            query.text(req, "backend_id") or "",
            query.text(req, "project_id") or "",
            backup_id,
            int(disk),
        )
        found = self._files.open_signed(place, proof)
        download.answer(req, resp, found)

    on_head = on_get
