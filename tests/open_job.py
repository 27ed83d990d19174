"""A job that nobody works on: what is given to a backend for the work of one lives as long."""

import datetime

import sqlalchemy as sa

from imagesvc.db import job_table, metadata
from imagesvc.domain.job import JobType


def begin(service, ctx):
    """Hand one in that is not due for a day; its id."""
    with service.database.write() as conn:
        job = service.jobs.submit(conn, ctx, JobType.CREATE_SERVERS, {})
        later = metadata.now() + datetime.timedelta(days=1)
        table = job_table.TABLE
        conn.execute(sa.update(table).where(table.c.id == job.id).values(run_after=later))
    return job.id
