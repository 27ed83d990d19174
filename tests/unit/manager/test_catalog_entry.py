"""Families of several catalogs as one list."""

import types

import pytest

from imagesvc.interface.errors import Unavailable
from imagesvc.manager.catalog_entry import CatalogEntries
from imagesvc_drivers.catalog.builtin import BuiltinCatalog

OWN = """\
schema: 1
families:
  - id: {id}
    title: Acme
    os: {{distro: acme, version: "1", arch: x86_64, platform: Acme, login: acme}}
    source:
      kind: pinned
      trust: pinned
      base: https://images.example.org/
      image: acme.img
      digest: sha256:{digest}
    image: {{format: raw, min_disk: 2, properties: {{hw_disk_bus: virtio}}}}
    promise: {{replace: monthly, keep: last-4, until: 2090-01-01, id_until: 2089-01-01}}
    note: Take care.
"""


class Away(BuiltinCatalog):
    """A catalog that does not answer."""

    def list_families(self):
        raise Unavailable("the other side is gone")


@pytest.fixture
def catalog(tmp_path):
    """Make a catalog of what ships and of a family of its own."""

    def make(name, kind=BuiltinCatalog):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "own.yaml").write_text(OWN.format(id=name, digest="a" * 64))
        return kind(types.SimpleNamespace(directories=[str(folder)]), backend_id=name)

    return make


def entries(allowed=("*",), minimum_trust="tls", **drivers):
    """All families of these catalogs."""
    return CatalogEntries(lambda: drivers, allowed=allowed, minimum_trust=minimum_trust).all()


def test_an_entry_says_what_its_images_are(catalog):
    family = entries(one=catalog("acme-1"))["acme-1"].family
    assert (family.disk_format, family.min_disk_gib, family.min_ram_mib) == ("raw", 2, 512)
    assert family.properties == {
        "image_description": "Take care.",
        "os_distro": "acme",
        "os_version": "1",
        "os_purpose": "generic",
        "architecture": "x86_64",
        "image_original_user": "acme",
        "hw_disk_bus": "virtio",
    }
    promise = family.promise
    assert (promise.replace, promise.keep) == ("monthly", 4)
    assert (str(promise.until), str(promise.id_until)) == ("2090-01-01", "2089-01-01")


def test_a_catalog_that_fails_is_a_family_that_says_so_and_the_others_are_there(catalog):
    found = entries(one=catalog("acme-1"), bad=catalog("acme-2", Away), gone=None)
    assert found["acme-1"].family.off == ""
    assert "acme-2" not in found
    assert found["catalog bad"].family.off == "the backend failed: the other side is gone."
    assert found["catalog gone"].family.is_faulty
    assert list(found) == sorted(found)


def test_what_two_catalogs_have_is_taken_from_none(catalog):
    found = entries(one=catalog("acme-1"), two=catalog("acme-2"))
    assert (found["acme-1"].family.off, found["acme-2"].family.off) == ("", "")
    twin = found["debian-13-x86_64"]
    assert (twin.entry, twin.family.off) == (None, "two catalogs have a family of this id.")


@pytest.mark.parametrize(
    ("allowed", "trust", "name", "off"),
    [
        (("acme-1",), "tls", "acme-1", ""),
        (("acme-*",), "tls", "acme-1", ""),
        ((), "tls", "acme-1", "it is not named in [catalog] families."),
        (("acme",), "tls", "acme-1", "it is not named in [catalog] families."),
        (("*",), "signed", "acme-1", "it is trusted by pinned, and [catalog] minimum_trust is signed."),
        (("*",), "tls", "fedora-43-x86_64", "it is switched off."),
    ],
)  # fmt: skip
def test_a_family_that_is_off_says_why(catalog, allowed, trust, name, off):
    found = entries(allowed, trust, one=catalog("acme-1"))
    assert found[name].family.off == off
    assert found["windows-server-2025-x86_64"].family.off.startswith("Get it from its maker")
