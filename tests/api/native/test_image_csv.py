"""The list of images as CSV: what is in it, for whom, and that a spreadsheet computes nothing."""

import csv
import io
import socket
import subprocess

import pytest

from imagesvc.api import pace
from imagesvc.api.native import image_csv
from imagesvc.context import RequestContext
from imagesvc.domain.image_query import ImageQuery
from imagesvc.manager import image_scan
from tests.api.caller import Caller
from tests.api.native.test_native import refused

PATH = "/imagesvc/v1/image.csv"


@pytest.fixture
def caller(each_app):
    """A member of a project of its own."""
    return Caller(each_app)


def rows(caller, **query):
    """What the caller's own images are in the list, by heading (others may have made public ones)."""
    found = caller.get(PATH, params={"owner": caller.project, **query})
    assert found.status_code == 200, found.text
    return parsed(found)


def parsed(found):
    """The rows by heading."""
    return list(csv.DictReader(io.StringIO(found.content.decode("utf-8-sig"))))


def heading(found):
    """The first line."""
    return next(csv.reader(io.StringIO(found.content.decode("utf-8-sig"))))


def test_a_row_says_what_an_image_is(caller):
    image_id = caller.active(
        b"x" * 3000, name="Debian, \"12\"\nnew", os_version="12", os_type="linux", tags=["b", "a"],
        instance_uuid="server-1", min_ram=512, architecture="x86_64", visibility="private",
    )  # fmt: skip
    (row,) = rows(caller)
    assert row["ID"] == image_id
    assert row["Name"] == 'Debian, "12"\nnew'
    assert (row["Status"], row["Image type"], row["Kind"]) == ("active", "private", "system-disk")
    assert (row["OS"], row["OS version"], row["Architecture"]) == ("linux", "12", "x86_64")
    assert (row["Size (bytes)"], row["Disk capacity (GiB)"]) == ("3000", "1")
    assert (row["Min. memory (MiB)"], row["Encrypted"]) == ("512", "no")
    assert (row["Source"], row["Tags"]) == ("server server-1", "a b")
    assert (row["Owner"], row["Disk format"]) == (caller.project, "raw")
    assert row["Created"].endswith("Z")


def test_a_copy_is_of_its_image_whatever_server_that_was_of(caller):
    image_id = caller.active(instance_uuid="server-1", visibility="private")
    found = caller.request("POST", f"/imagesvc/v1/images/{image_id}/copy", {"name": "copy"})
    assert found.status_code == 202, found.text
    told = {row["Name"]: row["Source"] for row in rows(caller)}
    assert told["copy"] == f"image {image_id}"


def test_it_is_a_file_that_spreadsheets_read(caller):
    caller.create(name="one")
    found = caller.get(PATH, params={"owner": caller.project})
    assert found.headers["content-type"] == "text/csv; charset=utf-8"
    assert "images.csv" in found.headers["content-disposition"]
    assert found.content.startswith(b'\xef\xbb\xbf"Name","ID","Status",')
    assert found.content.count(b"\r\n") == 2


def test_it_takes_one_of_the_threads_for_long_transfers(caller):
    pacer = pace.Pacer(pace.Limits(idle_s=10.0, rate_bytes=100, transfers=1))
    one, other = socket.socketpair()
    with one, other, pacer.watch(one) as busy:
        busy.begin_transfer()
        with pacer.watch(other):
            refused(caller.get(PATH), 503)
            assert caller.get("/v2/images").status_code == 200
        busy.end_transfer()
        with pacer.watch(other):
            assert caller.get(PATH).status_code == 200


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_is_a_formula(caller, start):
    caller.create(name=f"{start}1+1|cmd", description=f"{start}HYPERLINK()", tags=["=t"])
    (row,) = rows(caller)
    assert row["Name"] == f"'{start}1+1|cmd"
    assert row["Description"] == f"'{start}HYPERLINK()"
    assert row["Tags"] == "'=t"


def test_the_heading_is_english_or_chinese(caller):
    names = {name: chinese for name, chinese in image_csv.COLUMNS}
    assert heading(caller.get(PATH)) == list(names)
    for asked in ({"params": {"language": "zh"}}, {"headers": {"Accept-Language": "zh-CN,en"}}):
        assert heading(caller.get(PATH, **asked)) == list(names.values())


def test_filters_narrow_it(caller):
    kept = caller.create(name="a", tags=["x"], os_type="windows")["id"]
    caller.create(name="b")
    for query in ({"name": "a"}, {"tag": "x"}, {"os_type": "windows"}):
        assert [row["ID"] for row in rows(caller, **query)] == [kept]
    assert rows(caller, status="active") == []
    assert rows(caller, visibility="public") == []


def test_where_semicolons_part_cells_no_name_becomes_several(caller):
    caller.create(name="x;=1+1;")
    assert b'\r\n"x;=1+1;",' in caller.get(PATH).content


def test_the_source_is_for_the_owner(each_app, caller):
    image_id = caller.active(instance_uuid="server-1", visibility="shared")
    stranger = Caller(each_app)
    caller.share(image_id, stranger.project, "accepted")
    assert [row["Source"] for row in rows(caller)] == ["server server-1"]
    assert {row["ID"]: row["Source"] for row in parsed(stranger.get(PATH))}[image_id] == ""


@pytest.mark.parametrize(
    "query", [{"status": "bad"}, {"visibility": "mine"}, {"limit": "1"}, {"language": "fr"}]
)
def test_what_is_not_asked_rightly_is_refused(caller, query):
    refused(caller.get(PATH, params=query), 400)


@pytest.mark.parametrize("name", ["owner", "name", "tag", "os_type"])
@pytest.mark.parametrize("value", ["a\0b", "x" * 5000, "\U0001f600", "'; --"])
def test_no_word_upsets_a_filter(caller, name, value):
    assert caller.get(PATH, params={name: value}).status_code in (200, 400)


def test_only_what_one_sees_in_a_list_is_in_it(each_app, caller):
    private = caller.create(visibility="private")["id"]
    shared = caller.create(visibility="shared")["id"]
    stranger = Caller(each_app)
    caller.share(shared, stranger.project, "accepted")
    seen = {row["ID"] for row in parsed(stranger.get(PATH))}
    assert shared in seen
    assert private not in seen


def scan(service, caller, size, act=None):
    """Ids in the order of the pages, with `act` done after the first page."""
    ctx = RequestContext("user", caller.project, frozenset({"member"}))
    found = []
    for page in image_scan.scan(service.images, ctx, ImageQuery(owner=caller.project), size):
        found += [image.id for image in page]
        if act:
            act, done = None, act
            done(found)
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_pages_of_any_size_give_each_image_once(each_service, caller, size):
    made = [caller.create()["id"] for _ in range(7)]
    assert scan(each_service, caller, size) == made[::-1]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
def test_images_of_one_instant_are_all_there(each_service, caller, size):
    first = caller.create()["id"]
    made = [caller.create()["id"] for _ in range(6)]
    last = caller.create()["id"]
    with each_service.database.write() as conn:
        conn.exec_driver_sql(
            "UPDATE image SET created_at = (SELECT created_at FROM image WHERE id = '{}') "
            "WHERE id IN ({})".format(made[0], ", ".join(f"'{one}'" for one in made))
        )
    assert scan(each_service, caller, size) == [last, *sorted(made, reverse=True), first]


def test_what_is_deleted_meanwhile_stops_nothing(each_service, caller):
    made = [caller.create()["id"] for _ in range(9)]

    def delete(found):
        for image_id in found:
            assert caller.request("DELETE", f"/v2/images/{image_id}").status_code == 204

    assert scan(each_service, caller, 3, delete) == made[::-1]


@pytest.mark.peer
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_spreadsheet_opens_it_whole(caller, tmp_path, language):
    """LibreOffice Calc reads it as its users do, and what it shows is what was written."""
    names = [
        "名字 é \U0001f5bc",
        'two "quoted", words',
        "a\nline",
        "=1+1",
        "@SUM(A1)",
        "-2",
    ]
    for name in names:
        caller.active(name=name, tags=["a,b", "=c"], os_distro="debian")
    found = caller.get(PATH, params={"owner": caller.project, "language": language})
    written = list(csv.reader(io.StringIO(found.content.decode("utf-8-sig"))))
    source = tmp_path / "images.csv"
    source.write_bytes(found.content)
    # Comma, quote, UTF-8 (76), from line 1, all columns by their looks; out again as shown.
    reads, writes = "44,34,76,1", "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false"
    command = [
        "soffice", f"-env:UserInstallation=file://{tmp_path}/profile", "--headless",
        f"--infilter=CSV:{reads}", "--convert-to", writes, "--outdir", tmp_path / "out", source,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    shown = (tmp_path / "out" / "images.csv").read_bytes().decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(shown))) == written
    assert len(written) == len(names) + 1
