"""Places of an image that are in no store of ours: URLs that the operator lets stand."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from imagesvc import errors

METADATA_BYTES_MAX = 4096
# Member of a location's metadata that names its store; the service alone writes it.
STORE = "store"


@dataclasses.dataclass(frozen=True, slots=True)
class ForeignLocation:
    """A URL where an image's bytes are; `metadata` is what its caller said of it."""

    store_id: str
    url: str = dataclasses.field(repr=False)  # signed URLs are secrets
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def shown_metadata(self) -> dict[str, Any]:
        """The metadata, with the store."""
        return {**self.metadata, STORE: self.store_id}


def check_metadata(store_id: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is kept of the metadata of a location; shown ones may come back. Raises InvalidRequest."""
    kept = dict(given or {})
    if kept.pop(STORE, store_id) != store_id:
        raise errors.InvalidRequest("The metadata of a location names another store.")
    if len(json.dumps(kept)) > METADATA_BYTES_MAX:
        raise errors.InvalidRequest(
            f"The metadata of a location has more than {METADATA_BYTES_MAX} bytes."
        )
    return kept
