"""What a publisher, a mirror or whoever is between may do to a family: each refused by its name."""

import lzma
import secrets
import shutil
import time

import pysequoia
import pytest
from pysequoia import SignatureMode, Tsk, packet

from imagesvc import errors, opts
from imagesvc import service as services
from imagesvc.db import catalog as catalog_rows
from imagesvc.manager import quota_verify, store_verify
from imagesvc.worker import reaper, runner
from tests import catalog_mirror, migrated
from tests.catalog_folder import Folder
from tests.catalog_mirror import disk
from tests.unit.worker.conftest import CONF
from tests.unit.worker.test_catalog import ADMIN
from tests.web_server import answer

UBUNTU, DEBIAN, SUSE = "ubuntu-24.04-x86_64", "debian-13-x86_64", "opensuse-leap-15.6-x86_64"
FREEBSD, ACME, ROCKY, FEDORA = (
    "freebsd-14-x86_64", "acme-1", "rocky-9-x86_64", "fedora-43-x86_64",
)  # fmt: skip
MORE = """
[image]
detect = off
max_unpacked_bytes = 4194304
[catalog]
families = ubuntu-24.04-*, debian-13-x86_64, {suse}, {freebsd}, {rocky}, {fedora}, *-1
mirror_map = {lines}
[catalog_local]
directories = {operator}
[fetch]
answer_timeout_s = 1
idle_timeout_s = 0.3
min_rate_bytes = 1000
"""
FOREVER_S = 62  # a minute and two seconds: keys are made a minute back


class Station:
    """A service, its mirror, and one build after the other."""

    def __init__(self, folder):
        self.folder = folder
        self._number = 20260100
        self.expiring = Tsk.generate("Gone <g@example.org>", validity_seconds=FOREVER_S)
        self.expired_signature = by(self.expiring)(b"list")
        self.revoked = Tsk.generate("Revoked <r@example.org>")
        cert = self.revoked.extract_certificate()
        primary, *rest = (bytes(one) for one in packet.PacketPile.from_bytes(bytes(cert)))
        self._revoked = b"".join([primary, bytes(cert.revoke(self.revoked.certifier())), *rest])

    def open(self, mirror, old):
        """Publish the first builds, with keys of each kind among those that are pinned."""
        self.mirror, self.old = mirror, old
        gone = self.expiring.extract_certificate()
        self.certs = (bytes(gone), self._revoked, old.certificate)
        revoked = self.revoked.extract_certificate().fingerprint.upper()
        self.pinned = (gone.fingerprint.upper(), revoked, old.fingerprint)
        self.trust()
        key = self.folder / "installation.key"
        key.write_text(secrets.token_hex(32))
        key.chmod(0o600)
        url = f"sqlite:///{self.folder}/imagesvc.sqlite"
        migrated.make(url)
        text = CONF.format(folder=self.folder, url=url) + MORE.format(
            suse=SUSE, freebsd=FREEBSD, rocky=ROCKY, fedora=FEDORA, lines=mirror.lines,
            operator=mirror.operator,
        )  # fmt: skip
        path = self.folder / "imagesvc.conf"
        path.write_text(text)
        self.service = services.build(opts.load(path), monitor=False)
        for family in (UBUNTU, SUSE):
            mirror.put(family, self.next(family))
            assert self.sync(family)[family].state == "done"

    def trust(self, more=""):
        """The operator's file again, with families more."""
        self.mirror.trust(*self.certs, fingerprints=self.pinned, more="")
        if more:
            (self.mirror.operator / "more.yaml").write_text(f"schema: 1\nfamilies:\n{more}")
        else:
            (self.mirror.operator / "more.yaml").unlink(missing_ok=True)

    def next(self, family):
        """A build that is newer than all before."""
        self._number += 1
        return {
            DEBIAN: f"{self._number}-1", FREEBSD: f"14.{self._number}", SUSE: f"{self._number}",
            ROCKY: f"9.9-{self._number}.0", FEDORA: f"1.{self._number}",
        }.get(family, str(self._number))  # fmt: skip

    def sync(self, *names):
        """To the end; the jobs by family."""
        jobs = self.service.catalog.families.sync(ADMIN, names)
        worker = runner.Runner(self.service, "here", pause_max_s=0)
        while worker.run_once():
            pass
        return {one.args["family"]: self.service.jobs.get(ADMIN, one.id) for one in jobs}

    def published(self):
        """Image ids and builds by family."""
        with self.service.database.read() as conn:
            return {
                one.release.family: (one.image_id, one.release.build)
                for one in catalog_rows.locked(conn)
            }

    def details(self):
        """The families by id."""
        return {one.family.id: one for one in self.service.catalog.families.list(ADMIN)}

    def refused(self, family, told, also=None):
        """A sync of it is refused for this reason and changes nothing; that of another goes on."""
        wanted = self.published()
        if also:
            build = self.next(also)
            self.mirror.put(also, build)
        ended = self.sync(family, *([also] if also else []))
        if also:
            assert ended[also].state == "done"
            wanted[also] = (ended[also].image_id, build)
        assert ended[family].state == "failed"
        assert told in ended[family].error_text
        assert self.published() == wanted
        with pytest.raises(errors.ImageNotFound):
            self.service.images.get(ADMIN, ended[family].image_id)
        assert told in self.details()[family].state.cause
        reaper.run(self.service)
        found = store_verify.verify(self.service.database, self.service.backends, older_than_s=0)
        assert not found.findings
        assert quota_verify.verify(self.service.database) == ()


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A station for all tests of this file: what is refused leaves nothing behind."""
    station = Station(tmp_path_factory.mktemp("station"))
    with (
        catalog_mirror.serving(station.folder / "operator") as mirror,
        catalog_mirror.gnupg() as old,
    ):
        station.open(mirror, old)
        yield station
        station.service.close()


@pytest.fixture
def station(opened):
    """The station, with nothing of another test at its mirror."""
    kept = dict(opened.mirror.files)
    yield opened
    opened.mirror.files.clear()
    opened.mirror.files.update(kept)
    opened.mirror.odd.clear()
    opened.trust()


def flipped(data):
    """Another byte in the middle."""
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def by(key, mode=SignatureMode.DETACHED):
    """A signature by another key."""
    return lambda data: pysequoia.sign(key.signer(), data, mode=mode)


def spoil_image(station, build):
    path = station.mirror.path(UBUNTU, build)
    station.mirror.files[path] = flipped(station.mirror.files[path])


def spoil_list(station, build):
    path = station.mirror.sums_path(UBUNTU, build)
    station.mirror.files[path] = flipped(station.mirror.files[path])


def spoil_signature(station, build):
    station.mirror.files[station.mirror.signature_path(UBUNTU, build)] = b"<html>no</html>"


def sign_by_a_stranger(station, build):
    station.mirror.write_sums(UBUNTU, build, by(Tsk.generate("Other <o@example.org>")))


def sign_by_an_expired_key(station, build):
    path = station.mirror.signature_path(UBUNTU, build)
    station.mirror.files[path] = station.expired_signature
    catalog_mirror.until_expired(station.expiring.extract_certificate())


def sign_by_a_revoked_key(station, build):
    station.mirror.write_sums(UBUNTU, build, by(station.revoked))


def sign_with_sha1(station, build):
    station.mirror.write_sums(UBUNTU, build, lambda data: station.old.sign(data, digest="SHA1"))


def sign_in_the_future(station, build):
    station.mirror.write_sums(
        UBUNTU, build, lambda data: station.old.sign(data, at="20400101T000000")
    )


def sign_twice(station, build):
    own = station.mirror.sign
    station.mirror.write_sums(UBUNTU, build, lambda data: own(data) + own(data))


def sign_long_ago(station, build):
    station.mirror.write_sums(UBUNTU, build, station.old.sign)


def lose_list(station, build):
    del station.mirror.files[station.mirror.sums_path(UBUNTU, build)]


def lose_signature(station, build):
    del station.mirror.files[station.mirror.signature_path(UBUNTU, build)]


def lose_image(station, build):
    del station.mirror.files[station.mirror.path(UBUNTU, build)]


def only_an_older_build(station, build):
    for path in [one for one in station.mirror.files if "/releases/noble/" in one]:
        del station.mirror.files[path]
    station.mirror.put(UBUNTU, "20250101")


def other_names(station, build):
    path = station.mirror.sums_path(UBUNTU, build)
    data = station.mirror.files[path].replace(b"*ubuntu", b"*../ubuntu")
    station.mirror.files[path] = data
    station.mirror.files[station.mirror.signature_path(UBUNTU, build)] = station.mirror.sign(data)


def long_list(station, build):
    station.mirror.files[station.mirror.sums_path(UBUNTU, build)] = b"x" * 10_000_000


def long_index(station, build):
    path = "/cloud-images.ubuntu.com/releases/noble/"
    station.mirror.odd[path] = lambda socket: socket.sendall(answer(b"x" * 10_000_000))


def empty_index(station, build):
    page = b'<html><a href="../release-29990101/">up</a><a href="//evil/release-29990101/">x</a>'
    path = "/cloud-images.ubuntu.com/releases/noble/"
    station.mirror.odd[path] = lambda socket: socket.sendall(answer(page))


def redirect(station, build):
    target = "Location: http://169.254.169.254/latest/"
    path = station.mirror.sums_path(UBUNTU, build)
    station.mirror.odd[path] = lambda socket: socket.sendall(
        answer(b"", target, status="302 Found")
    )


def cut_image(station, build):
    path = station.mirror.path(UBUNTU, build)
    data = station.mirror.files[path]
    station.mirror.odd[path] = lambda socket: socket.sendall(answer(data[:-9], length=len(data)))


def lengthen_image(station, build):
    station.mirror.files[station.mirror.path(UBUNTU, build)] += b"x"


def stall_image(station, build):
    path = station.mirror.path(UBUNTU, build)
    data = station.mirror.files[path]

    def stall(socket):
        socket.sendall(answer(data[:1000], length=len(data)))
        time.sleep(0.6)

    station.mirror.odd[path] = stall


def stall_list(station, build):
    station.mirror.odd[station.mirror.sums_path(UBUNTU, build)] = lambda _: time.sleep(0.6)


def drip_image(station, build):
    path = station.mirror.path(UBUNTU, build)
    size = len(station.mirror.files[path])

    def drip(socket):
        socket.sendall(answer(b"", length=size))
        for _ in range(20):
            time.sleep(0.1)
            socket.sendall(b"Q")

    station.mirror.odd[path] = drip


# Beside these another family is published: what fails late, early, and at length.
GOING_ON = (spoil_image, lose_list, sign_by_a_stranger, stall_image)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (spoil_image, "do not have the digest"),
        (spoil_list, "the signature of the list is refused: it is not a good signature"),
        (spoil_signature, "the signature cannot be read"),
        (sign_by_a_stranger, "which is no key that the entry names"),
        (sign_by_an_expired_key, "its key has expired on 20"),
        (sign_by_a_revoked_key, "its key is revoked"),
        (sign_with_sha1, "a hash that is broken (SHA-1 or MD5)"),
        (sign_in_the_future, "made in the future"),
        (sign_twice, "several signatures"),
        (
            sign_long_ago,
            "its list was signed at 2026-03-01 00:00:00 UTC, and one that was signed at",
        ),
        (only_an_older_build, "is older than the published"),
        (lose_list, "SHA256SUMS cannot be read: http://127.0.0.1:"),
        (lose_signature, "SHA256SUMS.gpg cannot be read: http://127.0.0.1:"),
        (lose_image, "amd64.img cannot be read: http://127.0.0.1:"),
        (other_names, "the list does not name ubuntu-24.04-server-cloudimg-amd64.img"),
        (long_list, "SHA256SUMS has more than 4194304 bytes"),
        (long_index, "noble/ has more than 4194304 bytes"),
        (empty_index, "the index of noble/ names nothing of the form release-{date8}/"),
        (redirect, "a redirect is not followed: The URL does not pass filtering"),
        (cut_image, "the answer ended at"),
        (lengthen_image, "do not have the digest"),
        (stall_image, "timed out"),
        (stall_list, "cannot be read: http://127.0.0.1:"),
        (drip_image, "the server is too slow"),
    ],
)
def test_what_is_not_as_its_publisher_made_it_is_refused(station, spoil, told):
    build = station.next(UBUNTU)
    station.mirror.put(UBUNTU, build)
    spoil(station, build)
    station.refused(UBUNTU, told, also=DEBIAN if spoil in GOING_ON else None)


def test_a_web_page_is_no_list(station):
    build = station.next(DEBIAN)
    station.mirror.put(DEBIAN, build)
    station.mirror.files[station.mirror.sums_path(DEBIAN, build)] = b"<!DOCTYPE html><p>Sign in"
    station.refused(DEBIAN, "a web page and not a list")


def test_a_clear_signed_list_counts_only_as_it_was_signed(station):
    build = station.next(FEDORA)
    station.mirror.put(FEDORA, build, disk("other"))
    path = station.mirror.sums_path(FEDORA, build)
    station.mirror.files[path] = station.mirror.files[path].replace(b") = ", b") = 0", 1)
    station.refused(FEDORA, "not a good signature")


def test_a_list_may_move_on_before_its_file_is_read(station):
    """The undated name has other bytes by then."""
    old = station.mirror.files[station.mirror.path(SUSE, "")]
    station.mirror.put(SUSE, "", disk("suse 2"))
    path, image = station.mirror.sums_path(SUSE, ""), station.mirror.path(SUSE, "")
    data = station.mirror.files[path]

    def move(socket):
        station.mirror.files[image] = disk("suse 3")
        socket.sendall(answer(data))

    station.mirror.odd[path] = move
    station.refused(SUSE, "do not have the digest")
    assert old != disk("suse 2")


def test_a_packed_image_that_unfolds_without_end_is_refused(station):
    build = station.next(FREEBSD)
    station.mirror.put(FREEBSD, build, lzma.compress(disk("bomb") + bytes(64 << 20)))
    station.refused(FREEBSD, "The unpacked image")


def test_an_image_is_held_against_its_own_signature(station):
    build = station.next(ACME)
    station.mirror.put(ACME, build)
    assert station.sync(ACME)[ACME].error_text is None
    signed = station.mirror.files[station.mirror.signature_path(ACME, build)]
    build = station.next(ACME)
    station.mirror.put(ACME, build, sign=lambda _: signed)
    station.refused(ACME, "the signature of the image is refused: it is not a good signature")
    scratch = station.folder / "scratch"
    assert [one for one in scratch.iterdir() if one.is_dir()] == []


def test_a_signed_image_without_a_length_is_refused(station):
    build = station.next(ACME)
    data = station.mirror.put(ACME, build)
    path = station.mirror.path(ACME, build)
    station.mirror.odd[path] = lambda socket: socket.sendall(answer(data, length=None))
    station.refused(ACME, "does not say how long the image is")


def test_an_older_list_is_refused_also_if_it_names_what_is_published(station):
    build = station.next(UBUNTU)
    station.mirror.put(UBUNTU, build)
    assert station.sync(UBUNTU)[UBUNTU].state == "done"
    first = dict(station.mirror.files)
    time.sleep(1.1)  # signatures tell seconds
    station.mirror.write_sums(UBUNTU, build)
    assert station.sync(UBUNTU)[UBUNTU].result["is_new"] is False
    station.mirror.files.update(first)
    station.refused(UBUNTU, "was seen before")


def test_less_trust_than_before_is_refused(station):
    entry = catalog_mirror.OWN.removeprefix("families:\n").replace("acme-1", UBUNTU)
    entry = entry.replace("trust: signed", "trust: tls").replace(
        '      signature: {image: "{image}.sig", keys: [acme]}\n', ""
    )
    text = (station.mirror.operator / "own.yaml").read_text()
    station.mirror.put(ACME, station.next(ACME))
    station.trust(entry)
    switches = text.replace(f"  - {{id: {UBUNTU}, enabled: true}}\n", "")
    (station.mirror.operator / "own.yaml").write_text(switches)
    station.refused(UBUNTU, "is trusted by tls, and the published one by signed")


def test_a_mirror_that_goes_in_the_middle_is_asked_again_by_the_next_sync(station):
    build = station.next(UBUNTU)
    data = station.mirror.put(UBUNTU, build)
    path = station.mirror.path(UBUNTU, build)
    half = answer(data[: len(data) // 2], length=len(data))
    station.mirror.odd[path] = lambda socket: socket.sendall(half)
    station.refused(UBUNTU, "the answer ended at")
    station.mirror.odd.clear()
    assert station.sync(UBUNTU)[UBUNTU].state == "done"
    assert station.published()[UBUNTU][1] == build


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("title: Acme 1", "title: Acme 1\n    colour: red", "unknown field `colour`"),
        ("https://images.acme.example/", "https://10.0.0.8/", "not a folder of a public host"),
        ("https://images.acme.example/", "http://images.acme.example/", "not a plain https URL"),
        ("acme-{int}.qcow2", "acme-([0-9]+)+.qcow2", "is no pattern"),
        ("acme-{int}.qcow2", "../acme-{int}.qcow2", "leaves its folder"),
    ],
)
def test_an_entry_that_is_wrong_is_off_and_says_why(station, old, new, told):
    entry = catalog_mirror.OWN.removeprefix("families:\n").replace("acme-1", "more-1")
    assert old in entry
    station.trust(entry.replace(old, new))
    found = station.details()
    assert told in found["more-1"].family.off
    assert found["more-1"].family.off.startswith("more.yaml:")
    assert station.service.catalog.late()["more-1"] == found["more-1"].family.off
    if told.startswith("unknown"):
        station.mirror.put(DEBIAN, station.next(DEBIAN))
        ended = station.sync()
        assert ended[DEBIAN].state == "done"
        assert "more-1" not in ended
    assert told in station.sync("more-1")["more-1"].error_text


def test_of_two_families_with_one_alias_none_is_taken(station):
    folder = Folder(station.folder / "catalog")
    before = station.published()
    folder.put(UBUNTU, "1")
    station.mirror.put(UBUNTU, station.next(UBUNTU))
    station.mirror.put(DEBIAN, station.next(DEBIAN))
    ended = station.sync()
    assert ended[DEBIAN].state == "done"
    assert UBUNTU not in ended
    assert "two sources have a family of this id" in station.details()[UBUNTU].family.off
    assert "two sources" in station.sync(UBUNTU)[UBUNTU].error_text
    assert "two sources" in station.service.catalog.families.plan(ADMIN, UBUNTU).cause
    assert station.published()[UBUNTU] == before[UBUNTU]
    shutil.rmtree(folder.path)


def test_kept_lists_and_signatures_are_checked_again_without_the_publisher(station):
    image_id = station.published()[UBUNTU][0]
    verifier = station.service.catalog.verifier
    station.mirror.files.clear()
    assert verifier.verify(image_id, lambda _: None) == ()
    with station.service.database.read() as conn:
        kept = catalog_rows.evidence(conn, image_id)
    for column, value, told in (
        ("list_bytes", flipped(kept.list_bytes), "not a good signature"),
        ("signature_bytes", station.old.sign(kept.list_bytes), "the kept signature is another one"),
    ):
        with station.service.database.write() as conn:
            of_image = catalog_rows.RELEASE.c.image_id == image_id
            conn.execute(catalog_rows.RELEASE.update().where(of_image).values({column: value}))
        (fault,) = verifier.verify(image_id, lambda _: None)
        assert told in fault
        with station.service.database.write() as conn:
            values = {column: getattr(kept, column)}
            conn.execute(catalog_rows.RELEASE.update().where(of_image).values(values))
    (station.mirror.operator / "keys" / "ubuntu-cloud.asc").unlink()
    (fault,) = verifier.verify(image_id, lambda _: None)
    assert "none of the keys is one that the entry names" in fault
