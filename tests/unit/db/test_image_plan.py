"""Query plans of the list with 100,000 images: an index begins each branch, on both engines."""

import dataclasses
import datetime
import random
import re

import pytest
import sqlalchemy as sa

from imagesvc.db import (
    engine,
    image_disk,
    image_property,
    image_table,
    member,
    metadata,
    tag,
)
from imagesvc.db import image as rows
from imagesvc.domain.image_query import FieldFilter, ImageQuery, Operator, SortKey
from imagesvc.policy import visibility
from tests import migrated
from tests.unit.db import make

pytestmark = pytest.mark.xdist_group("image_plan")

STATEMENTS_MAX = 2
COUNT = 5_000  # made one by one
COPIES = 20  # each with another end of its id; 100,000 in all


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(request, tmp_path_factory):
    """100,000 images of 50 projects, with statistics."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('plan') / 'db.sqlite'}"
        migrated.make(url)
    else:
        server = request.getfixturevalue("postgresql_server")
        url = server.create(request.getfixturevalue("postgresql_template"))
    database = engine.Database(url)
    _fill(database)
    yield database
    database.dispose()


def _fill(database):
    chance = random.Random(1)
    images, tags, properties, members, disks = [], [], [], [], []
    for n in range(COUNT):
        image = make.image(
            owner=f"p{n % 50}",
            name=f"name {n}",
            visibility=chance.choices(("private", "shared", "public", "community"), (60, 30, 5, 5))[
                0
            ],
            created_at=make.START + datetime.timedelta(seconds=n),
            md5=f"{n:032x}",
            hash_value=f"{n:0128x}",
            os_type=f"os{n % 500}",
        )
        images.append({field: getattr(image, field) for field in image_table.FIELDS})
        tags.append({"image_id": image.id, "tag": f"t{n % 500}"})
        disks.append({"image_id": image.id, "storage_key": image.id})
        properties.append({"image_id": image.id, "name": "serial", "value": str(n % 500)})
        if image.visibility == "shared":
            members.append(
                {
                    "image_id": image.id,
                    "member_id": f"p{(n + 1) % 50}",
                    "status": "accepted",
                    "image_created_at": image.created_at,
                    "created_at": make.START,
                    "updated_at": make.START,
                }
            )
    with database.write() as conn:
        conn.execute(sa.insert(image_table.TABLE), images)
        conn.execute(sa.insert(tag.TABLE), tags)
        conn.execute(sa.insert(image_property.TABLE), properties)
        conn.execute(sa.insert(member.TABLE), members)
        disk = {"disk_index": 0, "role": "system", "disk_format": "raw", "size_bytes": 1}
        place = {"disk_index": 0, "position": 0, "store_id": "local"}
        conn.execute(
            sa.insert(image_disk.TABLE),
            [disk | {"image_id": one["image_id"]} for one in disks],
        )
        conn.execute(sa.insert(image_disk.LOCATION), [place | one for one in disks])
        _copy(conn, image_table.TABLE, {"id", "name", "md5", "hash_value"})
        for table in (tag.TABLE, image_property.TABLE, member.TABLE, image_disk.TABLE):
            _copy(conn, table, {"image_id"})
        _copy(conn, image_disk.LOCATION, {"image_id", "storage_key"})
    with database.write() as conn:
        conn.exec_driver_sql("ANALYZE")


def _copy(conn, table, own):
    """All rows again, another ending on what each image has for itself."""
    endings = [sa.select(sa.literal(f"{n:02x}").label("ending")) for n in range(1, COPIES)]
    ending = sa.union_all(*endings).subquery()
    values = [
        sa.func.substr(column, 3).concat(ending.c.ending) if column.name in own else column
        for column in table.columns
    ]
    made = sa.select(*values).join_from(table, ending, sa.true())
    conn.execute(sa.insert(table).from_select([column.name for column in table.columns], made))


def plan(database, ctx, query):
    """The plan of each statement that the page takes, as the engine tells it."""
    taken = []

    def note(conn, cursor, statement, parameters, context, executemany):
        if statement != "BEGIN":
            taken.append((statement, parameters))

    with database.read() as conn:
        sa.event.listen(conn, "before_cursor_execute", note)
        rows.list_page(conn, query, visibility.scope(ctx, query))
        sa.event.remove(conn, "before_cursor_execute", note)
        explain = "EXPLAIN QUERY PLAN" if database.dialect == "sqlite" else "EXPLAIN"
        assert len(taken) <= STATEMENTS_MAX
        lines = []
        for statement, parameters in taken:
            told = conn.exec_driver_sql(f"{explain} {statement}", parameters)
            lines += [str(row[-1]) for row in told]
    return lines


def full_scans(lines):
    """Lines that say that a table is read from end to end."""
    return [
        line
        for line in lines
        if re.search(r"Seq Scan on image", line)
        or re.search(r"\bSCAN image(_\w+)?\b(?! USING (COVERING )?INDEX ix_image_newest)", line)
    ]


FILTERS = {
    "none": {},
    "private": {"visibility": "private"},
    "shared": {"visibility": "shared"},
    "public": {"visibility": "public"},
    "community": {"visibility": "community"},
    "all": {"visibility": "all"},
    "hidden": {"hidden": True},
    "offers": {"member_status": None},
    "owner": {"owner": "p3"},
    "foreign owner": {"owner": "p4"},
    "tag": {"tags": ("t3",)},
    "property": {"properties": (("serial", "3"),)},
    "fact": {"properties": (("os_type", "os3"),)},
    "name": {"fields": (FieldFilter("name", Operator.EQ, "name 3"),)},
    "names": {"fields": (FieldFilter("name", Operator.IN, ("name 3", "name 53")),)},
    "id": {"fields": (FieldFilter("id", Operator.EQ, "some"),)},
    "md5": {"fields": (FieldFilter("md5", Operator.EQ, f"{3:032x}"),)},
    "hash": {"fields": (FieldFilter("hash_value", Operator.EQ, f"{3:0128x}"),)},
    "status": {"fields": (FieldFilter("status", Operator.EQ, "saving"),)},
    "disk format": {"fields": (FieldFilter("disk_format", Operator.EQ, "raw"),)},
    "created": {"fields": (FieldFilter("created_at", Operator.GT, make.START),)},
    "size": {"fields": (FieldFilter("size_bytes", Operator.GTE, 5),)},
    "by name": {"sort": (SortKey("name", False),)},
    "by size": {"sort": (SortKey("size_bytes", True),)},
    "oldest": {"sort": (SortKey("created_at", False),)},
}


@pytest.mark.parametrize("name", FILTERS)
def test_no_page_of_a_project_reads_a_whole_table(filled, name):
    lines = plan(filled, make.caller("p3"), ImageQuery(**FILTERS[name]))
    assert full_scans(lines) == [], "\n".join(lines)


@pytest.mark.parametrize(
    "name", ["none", "all", "private", "owner", "name", "tag", "property", "fact"]
)
def test_no_page_of_an_administrator_reads_a_whole_table(filled, name):
    lines = plan(filled, make.caller("p3", is_admin=True), ImageQuery(**FILTERS[name]))
    assert full_scans(lines) == [], "\n".join(lines)


@pytest.mark.parametrize("admin", [False, True])
@pytest.mark.parametrize("behind", [False, True])
def test_branches_come_in_order_from_their_indexes(filled, admin, behind):
    ctx = make.caller("p3", is_admin=admin)
    query = ImageQuery(visibility="all" if admin else None)
    if behind:
        with filled.read() as conn:
            page = rows.list_page(conn, query, visibility.scope(ctx, query))
        query = dataclasses.replace(query, marker=page.images[-1].id)
    lines = plan(filled, ctx, query)
    text = "\n".join(lines)
    wanted = {"ix_image_newest"} if admin else {"ix_image_owner_visibility", "ix_image_visibility"}
    assert wanted <= set(re.findall(r"ix_image_\w+", text)), text
    if not admin:
        assert "ix_image_member_" in text, text


def test_the_time_of_the_metadata_is_kept_to_the_microsecond(filled):
    with filled.read() as conn:
        found = conn.scalar(
            sa.select(image_table.TABLE.c.created_at).where(image_table.TABLE.c.name == "name 0")
        )
    assert found == make.START
    assert found.tzinfo is datetime.UTC
    assert metadata.now().tzinfo is datetime.UTC
