"""Whether the counters of quotas are what the rows say."""

import imagesvc.db.engine
from imagesvc.db import quota_count
from imagesvc.domain.quota import Difference


def verify(
    database: "imagesvc.db.engine.Database", *, mend: bool = False
) -> tuple[Difference, ...]:
    """Count everything anew; the counters that are wrong, with `mend` set right.

    Exact while the service runs: what looks wrong in passing is looked at again under the
    lock of its project's counters.
    """
    with database.read() as conn:
        suspects = sorted({one.project_id for one in quota_count.differences(conn)})
    found: list[Difference] = []
    for project_id in suspects:
        with database.write() as conn:
            quota_count.lock(conn, project_id)
            wrong = quota_count.differences(conn, project_id)
            for one in wrong if mend else ():
                quota_count.mend(conn, one)
        found += wrong
    return tuple(found)
