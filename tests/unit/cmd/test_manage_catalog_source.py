"""imagesvc-manage catalog check and keys, on a mirror of publishers."""

import datetime
import http.server
import secrets
import threading

import pytest
from pysequoia import Tsk

from imagesvc import opts
from imagesvc.cmd import manage
from tests import catalog_mirror, migrated
from tests.unit.cmd.test_manage_quota import CONF

UBUNTU, DEBIAN = "ubuntu-24.04-x86_64", "debian-13-x86_64"
MORE = """
[catalog]
families = {families}
mirror_map = {lines}
[catalog_local]
directories = {operator}
[fetch]
answer_timeout_s = 1
"""
DAY_S = 86400


@pytest.fixture
def mirror(tmp_path):
    """The publishers."""
    with catalog_mirror.serving(tmp_path / "operator") as made:
        yield made


@pytest.fixture
def run(tmp_path, capsys, monkeypatch, mirror):
    """Run the command with some families: code, lines."""
    monkeypatch.setenv(opts.CONF_VARIABLE, "")
    key = tmp_path / "installation.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    migrated.make(f"sqlite:///{tmp_path}/imagesvc.sqlite")

    def go(*args, families=f"{UBUNTU}, {DEBIAN}", lines=mirror.lines):
        more = MORE.format(families=families, lines=lines, operator=mirror.operator)
        path = tmp_path / "imagesvc.conf"
        text = CONF.format(folder=tmp_path).replace("[quota]\nimages = 5\n", more)
        path.write_text(text)
        code = manage.main(["--config-file", str(path), "catalog", *args])
        return code, capsys.readouterr().out.splitlines()

    return go


def test_nothing_is_asked_of_the_network_as_long_as_no_family_is_named(run, mirror):
    assert run("check", families="") == (0, [])
    assert run("list", families="") == (0, [run("list", families="")[1][0]])
    code, lines = run("list", "--all", families="")
    assert code == 0
    (line,) = [one for one in lines if one.startswith(DEBIAN)]
    assert line.endswith("off: it is not named in [catalog] families.")
    (line,) = [one for one in lines if one.startswith("windows-server-2025")]
    assert "Get it from its maker" in line
    assert mirror.asked() == []


def test_lists_are_checked_and_no_image_is_read(run, mirror):
    mirror.put(UBUNTU, "20260101")
    mirror.put(DEBIAN, "20260101-1")
    code, (line,) = run("check", DEBIAN)
    assert (code, line.startswith(f"{DEBIAN}: build 20260101-1: it is new")) == (3, True)
    assert line.endswith("read over https alone")
    code, lines = run("check")
    assert (code, [line.split(": ")[0] for line in lines]) == (3, [DEBIAN, UBUNTU])
    assert f"signed by {mirror.key.extract_certificate().fingerprint.upper()}" in lines[1]
    images = (mirror.path(UBUNTU, "20260101"), mirror.path(DEBIAN, "20260101-1"))
    assert [path for path, _ in mirror.asked() if path in images] == []


def test_a_broken_source_is_told_and_the_others_are_checked(run, mirror):
    mirror.put(DEBIAN, "20260101-1")
    (mirror.operator / "bad.yaml").write_text("schema: 1\nfamilies: [{id: bad-1}]\n")
    code, lines = run("check")
    assert code == 4
    assert lines[0].startswith(f"{DEBIAN}: build 20260101-1: it is new")
    assert lines[1].startswith(f"{UBUNTU}: broken: noble/ cannot be read")
    assert lines[2].startswith("bad-1: broken: bad.yaml:2: Object missing required field")


def test_keys_are_told_with_what_is_wrong_with_them(run, mirror):
    fingerprint = mirror.key.extract_certificate().fingerprint.upper()
    assert run("keys", "check") == (0, [
        f"{'KEY':<20} {'FINGERPRINT':<42} {'EXPIRES':<12} STATE",
        f"{'ubuntu-cloud':<20} {fingerprint:<42} {'-':<12} good",
    ])  # fmt: skip
    assert len(run("keys", "list")[1]) > 5
    soon = Tsk.generate("Soon <s@example.org>", validity_seconds=30 * DAY_S)
    cert = soon.extract_certificate()
    mirror.trust(bytes(cert), fingerprints=(cert.fingerprint.upper(), "A" * 40))
    code, lines = run("keys", "check")
    day = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=30)
    assert (code, lines[1].endswith("good")) == (1, True)
    assert "it expires on 20" in lines[2]
    assert abs((cert.expiration - day).total_seconds()) < 2 * DAY_S
    assert lines[3].endswith("its file has no key of this fingerprint")
    (mirror.operator / "keys" / "ubuntu-cloud.asc").write_text("no key")
    assert "its file cannot be read" in run("keys", "check")[1][1]
    (mirror.operator / "keys" / "ubuntu-cloud.asc").unlink()
    code, lines = run("keys", "check")
    assert code == 1  # now it is the file that ships, which has another publisher's
    assert all(line.endswith("its file has no key of this fingerprint") for line in lines[1:])
    assert run("keys", "check", families=DEBIAN) == (0, lines[:1])


@pytest.fixture
def served(tmp_path):
    """A plain web server of a folder, and the folder."""
    folder = tmp_path / "bundle"

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


def test_a_bundle_is_a_mirror_for_a_site_without_network(run, mirror, served):
    place, folder = served
    names = f"{UBUNTU}, {DEBIAN}, acme-1"
    mirror.put(UBUNTU, "20260101")
    data = mirror.put(DEBIAN, "20260101-1")
    mirror.put("acme-1", "1")
    code, lines = run("bundle", "--out", str(folder), families=names)
    assert (code, [line.split(",")[0] for line in lines[:-1]]) == (
        0,
        ["acme-1: build 1", f"{DEBIAN}: build 20260101-1", f"{UBUNTU}: build 20260101"],
    )
    mirror.asked()
    code, again = run("bundle", "--out", str(folder), families=names)
    assert (code, [line.rpartition(", ")[2] for line in again[:-1]]) == (0, ["0 bytes"] * 3)
    assert mirror.path(DEBIAN, "20260101-1") not in dict(mirror.asked())
    checked = run("check", families=names)
    assert mirror.asked() != []
    copied = run(
        "check", families=names, lines=lines[-1].partition(" = ")[2].replace("MIRROR", place)
    )
    assert (copied, mirror.asked()) == (checked, [])
    (path,) = folder.glob("cloud.debian.org/images/cloud/trixie/20260101-1/*.qcow2")
    assert path.read_bytes() == data
    assert [one for one in folder.rglob("*") if one.name.startswith(".")] == []


def test_a_bundle_has_nothing_that_is_not_as_it_was_signed(run, mirror, tmp_path):
    folder = tmp_path / "bundle"
    mirror.put(DEBIAN, "20260101-1")
    mirror.put("acme-1", "1")
    mirror.put(UBUNTU, "20260101")
    for family, build in ((UBUNTU, "20260101"), ("acme-1", "1")):
        mirror.files[mirror.path(family, build)] += b"x"
    signed = mirror.files[mirror.signature_path("acme-1", "1")]
    mirror.write_sums("acme-1", "1", lambda _: signed)
    code, lines = run("bundle", "--out", str(folder), families=f"{UBUNTU}, {DEBIAN}, acme-1")
    assert code == 1
    assert "the signature of the image is refused: it is not a good signature" in lines[0]
    assert lines[1].startswith(f"{DEBIAN}: build 20260101-1")
    assert "do not have the digest" in lines[2]
    assert [one.name for one in folder.rglob("*") if one.is_file() and "acme" in str(one)] == []
