"""Says which jobs this worker leaves for a newer one: each kind once."""

import logging
from collections.abc import Iterable, Mapping

from imagesvc import service as services
from imagesvc.db import job_queue, metadata
from imagesvc.domain.job import args_version

LOG = logging.getLogger(__name__)


def known(types: Iterable[str]) -> Mapping[str, int]:
    """Each of these types with the newest version of its arguments that this release reads."""
    return {str(name): args_version(name) for name in types}


class Strangers:
    """A chore that remembers what it said; for one thread."""

    def __init__(self, types: Iterable[str]) -> None:
        self._known = known(types)
        self._told: set[tuple[str, int]] = set()

    def run(self, service: services.Service) -> int:
        """Look at what is due; how many kinds were told of."""
        with service.database.read() as conn:
            found = job_queue.strangers(conn, self._known, metadata.now())
        new = [one for one in found if one[:2] not in self._told]
        for name, version, count in new:
            LOG.warning(
                "jobs left for a newer worker type=%s args_version=%s count=%s",
                name, version, count,
            )  # fmt: skip
            self._told.add((name, version))
        return len(new)
