"""Whether an image of the catalog is still what its source said, without asking the source."""

from collections.abc import Callable

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.db import catalog as catalog_rows
from imagesvc.manager.catalog_source import CatalogSource
from imagesvc.manager.copy_mark import CopyMarks
from imagesvc.manager.image_scrub import Finding, ImageScrub
from imagesvc.manager.operation import Operation


class CatalogVerifier:
    """Reads the stored bytes, and the kept list and signature."""

    def __init__(self, operation: Operation, backends: Backends, source: CatalogSource) -> None:
        self._operation = operation
        self._backends = backends
        self._source = source

    def verify(self, image_id: str, progress: Callable[[int], None]) -> tuple[str, ...]:
        """What is wrong, a line each; a copy that is bad is marked as by a scrub.

        `progress` gets the bytes that were read. Raises ImageNotFound.
        """
        findings: list[Finding] = []
        scrub = ImageScrub(
            self._operation.database,
            self._backends,
            CopyMarks(self._operation),
            findings.append,
            lambda verdict: progress(verdict.size_bytes),
        )
        scrub.run(image_id=image_id)
        faults = [f"{one.fault}: {one.copy.store_id}: {one.text}" for one in findings]
        return (*faults, *self._provenance(image_id))

    def _provenance(self, image_id: str) -> tuple[str, ...]:
        with self._operation.database.read() as conn:
            published = catalog_rows.get(conn, image_id)
            evidence = catalog_rows.evidence(conn, image_id)
        if published is None:
            raise errors.ImageNotFound(image_id=image_id)
        if evidence.list_bytes is None:
            return ()
        try:
            self._source.verify(published.release, evidence)
        except errors.CatalogRefused as exc:  # a finding like those of the bytes
            return (f"provenance: {exc.facts['cause']}",)
        return ()
