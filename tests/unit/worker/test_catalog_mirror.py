"""The catalog's sync from publishers, as a mirror on this machine plays them."""

import pysequoia
import pytest
from pysequoia import SignatureMode, Tsk

from imagesvc.db import catalog as catalog_rows
from imagesvc.domain import catalog_lock
from imagesvc.domain.catalog import Allowance
from imagesvc.manager import quota_verify
from tests import catalog_mirror
from tests.catalog_mirror import LAYOUTS
from tests.unit.worker.conftest import CALLER, CONF
from tests.unit.worker.test_catalog import ADMIN, _no_looks, data_of, families, public, sync, work
from tests.unit.worker.test_catalog import url as url

__all__ = ["_no_looks", "families", "sync", "work"]
BUILDS = {
    "debian-13-x86_64": ("20260101-9", "20260101-10"),
    "debian-12-x86_64": ("20260101-9", "20260201-1"),
    "ubuntu-24.04-x86_64": ("20260101", "20260201"),
    "fedora-43-x86_64": ("1.6", "1.10"),
    "rocky-9-x86_64": ("9.6-20260101.0", "9.7-20260101.0"),
    "centos-stream-9-x86_64": ("20260101.0", "20260101.1"),
    "arch-x86_64": ("20260101.9", "20260101.10"),
    "flatcar-stable-x86_64": ("4081.3.2", "4152.0.0"),
    "freebsd-14-x86_64": ("14.9", "14.10"),
    "opensuse-leap-15.6-x86_64": ("", "-"),
    "acme-1": ("9", "10"),
}


@pytest.fixture
def mirror(tmp_path):
    """The publishers."""
    with catalog_mirror.serving(tmp_path / "operator") as made:
        yield made


@pytest.fixture
def more():
    """What else is configured."""
    return ""


@pytest.fixture
def service(service_of, mirror, more):
    """A service that is led to the mirror."""
    return service_of(
        CONF
        + f"""
[catalog]
families = {", ".join(BUILDS)}
mirror_map = {mirror.lines}
concurrency = 10
{more}
[catalog_local]
directories = {{folder}}/operator
[fetch]
answer_timeout_s = 1
idle_timeout_s = 0.5
"""
    )


def builds(number):
    """One build of each family."""
    return {family: both[number] for family, both in BUILDS.items()}


def publish(mirror, number):
    """Put one build of each family; the bytes by family."""
    return {
        family: mirror.put(family, build, catalog_mirror.disk(f"{family} {number}"))
        if family.startswith("opensuse") else mirror.put(family, build)
        for family, build in builds(number).items()
    }  # fmt: skip


def shown(service):
    """Builds of the images that anybody sees, by family."""
    with service.database.read() as conn:
        return {one.release.family: one for one in catalog_rows.locked(conn)}


def test_families_are_published_as_they_ship_and_then_only_lists_are_read(
    service, mirror, families, sync
):
    first = publish(mirror, 0)
    ended = sync()
    assert {name: (one.state, one.error_text) for name, one in ended.items()} == dict.fromkeys(
        BUILDS, ("done", None)
    )
    found = shown(service)
    wanted = builds(0)
    assert {
        name: one.release.build for name, one in found.items() if "suse" not in name
    } == {name: build for name, build in wanted.items() if "suse" not in name}  # fmt: skip
    assert {name for name, one in found.items() if one.release.trust == "signed"} == {
        name for name in BUILDS if LAYOUTS[name].key
    }
    assert data_of(service, ended["ubuntu-24.04-x86_64"].image_id) == first["ubuntu-24.04-x86_64"]
    mirror.asked()
    again = sync()
    assert {one.result["is_new"] for one in again.values()} == {False}
    asked = mirror.asked()
    images = {mirror.path(family, build) for family, build in wanted.items()}
    assert [path for path, _ in asked if path in images] == []
    assert sum(size for _, size in asked) < 12_000
    assert len(asked) <= 33
    assert {families.plan(ADMIN, name).lines for name in BUILDS} == {
        (f"{name}: nothing new",) for name in BUILDS
    }
    assert len(public(service)) == len(BUILDS)
    assert quota_verify.verify(service.database) == ()


def test_two_releases_in_a_row_are_published_and_one_is_rolled_back(
    service, mirror, families, sync
):
    names = ("ubuntu-24.04-x86_64", "debian-13-x86_64", "opensuse-leap-15.6-x86_64")
    publish(mirror, 0)
    old = sync(*names)
    publish(mirror, 1)
    new = sync(*names)
    assert {one.state for one in new.values()} == {"done"}
    assert [families.plan(ADMIN, name).steps for name in names] == [(), (), ()]
    for name in names:
        before, after = families.rollback(ADMIN, name)
        assert (before.image_id, after.image_id) == (new[name].image_id, old[name].image_id)
        assert data_of(service, new[name].image_id) != data_of(service, old[name].image_id)
        assert families.plan(ADMIN, name).lines == (f"{name}: nothing new",)
        assert families.plan(ADMIN, name, Allowance(again=True)).steps != ()
    image = service.images.get(CALLER, old["ubuntu-24.04-x86_64"].image_id)
    assert image.properties["image_original_user"] == "ubuntu"
    assert image.properties["os_version"] == "24.04"
    assert image.properties["image_source"] == (
        "https://cloud-images.ubuntu.com/releases/noble/release-20260101/"
        "ubuntu-24.04-server-cloudimg-amd64.img"
    )


def test_a_lock_file_brings_the_same_build_though_a_newer_one_is_there(
    service, mirror, families, sync
):
    names = ("ubuntu-24.04-x86_64", "acme-1")
    mirror.put("ubuntu-24.04-x86_64", "20260101")
    mirror.put("acme-1", "1")
    first = sync(*names)
    assert {one.error_text for one in first.values()} == {None}
    locked = catalog_lock.parse(families.lock(ADMIN).encode())
    for name in names:
        service.deletions.delete(ADMIN, first[name].image_id)
    mirror.put("ubuntu-24.04-x86_64", "20260201")
    mirror.put("acme-1", "2")
    again = sync(*names, locked=locked)
    assert {one.error_text for one in again.values()} == {None}
    found = shown(service)
    assert {name: found[name].release for name in names} == {
        name: catalog_lock.release(name, locked[name]) for name in names
    }
    image_id = again["acme-1"].image_id
    assert service.catalog.verifier.verify(image_id, lambda _: None) == ()


@pytest.mark.parametrize("more", ["minimum_trust = signed"])
def test_what_is_trusted_less_than_the_operator_wants_is_off(service, mirror, families, sync):
    publish(mirror, 0)
    found = {one.family.id: one.family for one in families.list(ADMIN)}
    assert found["debian-13-x86_64"].off == (
        "it is trusted by tls, and [catalog] minimum_trust is signed."
    )
    assert "minimum_trust" in sync("debian-13-x86_64")["debian-13-x86_64"].error_text
    assert set(sync()) == {name for name in BUILDS if LAYOUTS[name].key}


def test_an_expired_key_is_believed_where_the_entry_allows_it(service, mirror, families):
    key = Tsk.generate("Gone <g@example.org>", validity_seconds=62)  # made a minute back
    cert = key.extract_certificate()
    mirror.trust(bytes(cert), fingerprints=(cert.fingerprint.upper(),))
    mirror.put(
        "acme-1", "1",
        sign=lambda data: pysequoia.sign(key.signer(), data, mode=SignatureMode.DETACHED),
    )  # fmt: skip
    catalog_mirror.until_expired(cert)
    assert "its key has expired" in families.plan(ADMIN, "acme-1").cause
    own = mirror.operator / "own.yaml"
    own.write_text(own.read_text().replace("[acme]}", "[acme], allow_expired_key: true}"))
    plan = families.plan(ADMIN, "acme-1")
    assert plan.cause is None
    assert f"signed by {cert.fingerprint.upper()}" in plan.lines[0]
