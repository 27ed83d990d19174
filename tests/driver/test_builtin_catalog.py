"""The catalog that ships: the laws of catalogs, and what its files may say."""

import datetime
import textwrap
from pathlib import Path

import pytest

from imagesvc.interface import base
from imagesvc.stream import openpgp
from imagesvc.testing.conformance.catalog import CatalogConformance
from imagesvc_drivers.catalog import builtin
from imagesvc_drivers.catalog.builtin import BuiltinCatalog

FAMILY = """
  - id: {id}
    title: Acme 1
    os: {{distro: acme, version: "1", arch: x86_64, platform: Acme}}
    source:
      kind: checksum-index
      trust: tls
      base: {base}
      image: "{image}"
      checksums: {{file: SHA256SUMS, grammar: gnu}}
    image: {{format: qcow2}}
"""


def family(id="acme-1", base="https://images.example.org/acme/", image="acme-{date8}.qcow2"):
    """One family as YAML."""
    return FAMILY.format(id=id, base=base, image=image)


def document(*families, more=""):
    """A file of families."""
    return "schema: 1\nfamilies:" + "".join(families) + textwrap.dedent(more)


class TestBuiltinCatalog(CatalogConformance):
    @pytest.fixture
    def folder(self, tmp_path):
        return tmp_path

    @pytest.fixture
    def driver(self, folder):
        return self.make(BuiltinCatalog, directories=[str(folder)])

    def entry(self, driver, id):
        return {one.family.id: one for one in driver.list_families()}.get(id)

    def refused(self, driver, folder, text):
        """The one problem of a file, whose family is absent while the others are there."""
        (folder / "bad.yaml").write_text(text)
        (folder / "good.yaml").write_text(document(family("good-1")))
        (problem,) = driver.list_problems()
        assert problem.file == str(folder / "bad.yaml")
        assert self.entry(driver, "acme-1") is None
        assert self.entry(driver, "good-1").off == ""
        assert driver.health().state is base.HealthState.DEGRADED
        return problem

    def test_what_ships_can_be_read(self, driver):
        assert list(driver.list_problems()) == []
        assert driver.health().state is base.HealthState.OK
        on = {one.family.id for one in driver.list_families() if not one.off}
        assert {"debian-13-x86_64", "debian-12-aarch64", "cirros-0.6.3-x86_64"} <= on
        shown = {one.platform: one for one in driver.list_versions()}
        assert shown["Debian"].architectures == ("aarch64", "x86_64")
        assert shown["Windows"].os_type == "Windows"

    def test_a_signed_family_without_its_key_is_off_and_says_why(self, driver, folder):
        switch = "schema: 1\nswitches:\n  - {id: arch-x86_64, enabled: true}\n"
        (folder / "own.yaml").write_text(switch)
        found = self.entry(driver, "arch-x86_64")
        assert found.off == "the file keys/arch-boxes.asc of its key arch-boxes is not there"

    def test_keys_that_ship_are_those_of_their_entries_and_work_today(self, driver):
        keys = {name: key for one in driver.list_families() for name, key in one.keys.items()}
        files = {path.name for path in (builtin.shipped() / "keys").iterdir()}
        assert files == {f"{name}.asc" for name in keys}
        for key in keys.values():
            (found,) = openpgp.certificates(Path(key.path).read_bytes())
            assert [found.fingerprint] == list(key.fingerprints)
            assert not found.is_revoked
            now = datetime.datetime.now(datetime.UTC)
            assert found.expires_at is None or found.expires_at > now

    def test_a_key_without_a_fingerprint_is_off(self, driver, folder):
        (folder / "own.yaml").write_text(
            "schema: 1\nkeys:\n  - {id: rocky-9, file: keys/rocky-9.asc}\n"
        )
        found = self.entry(driver, "rocky-9-x86_64")
        assert found.off == "the fingerprint of its key rocky-9 is not known"

    def test_a_key_of_the_operator_switches_its_families_on(self, driver, folder):
        (folder / "keys").mkdir()
        path = folder / "keys" / "ubuntu-cloud.asc"
        path.write_text("key")
        found = self.entry(driver, "ubuntu-24.04-x86_64")
        assert found.off == ""
        assert found.keys["ubuntu-cloud"].path == str(path)

    def test_a_family_of_the_operator_replaces_one_that_ships(self, driver, folder):
        (folder / "own.yaml").write_text(document(family("debian-13-x86_64")))
        assert self.entry(driver, "debian-13-x86_64").family.title == "Acme 1"

    def test_a_family_that_ships_can_be_switched(self, driver, folder):
        switch = "schema: 1\nswitches:\n  - {id: debian-13-x86_64, enabled: false}\n"
        (folder / "own.yaml").write_text(switch)
        assert self.entry(driver, "debian-13-x86_64").off == "it is switched off"

    def test_a_switch_of_no_family_is_refused(self, driver, folder):
        text = "schema: 1\nswitches:\n  - {id: acme-1, enabled: false}\n"
        assert "no family acme-1" in self.refused(driver, folder, text).cause

    def test_an_unknown_key_is_refused_with_its_line(self, driver, folder):
        text = document(family(), more="    surprise: 1\n").replace("\nsurprise", "\n    surprise")
        problem = self.refused(driver, folder, text)
        assert "unknown field `surprise`" in problem.cause
        assert text.split("\n")[problem.line - 1] == "    surprise: 1"

    @pytest.mark.parametrize(
        "image", ["(a+)+b", "acme-{anything}.img", "../x", "a b", "x\\n", "/x"]
    )
    def test_a_pattern_has_placeholders_alone(self, driver, folder, image):
        problem = self.refused(driver, folder, document(family(image=image)))
        assert "pattern" in problem.cause or "folder" in problem.cause or "escape" in problem.cause

    @pytest.mark.parametrize(
        "url",
        [
            "http://images.example.org/", "https://127.0.0.1/", "https://10.0.0.8/x/",
            "https://[::1]/", "https://169.254.169.254/", "https://localhost/",
            "https://user@images.example.org/", "https://2130706433/", "https://127.1/",
            "https://host.internal/", "file:///etc/", "https://images.example.org:x/",
        ],
    )  # fmt: skip
    def test_a_base_is_a_public_folder_over_https(self, driver, folder, url):
        assert "URL" in (
            cause := self.refused(driver, folder, document(family(base=url))).cause
        ) or ("public host" in cause)

    def test_two_families_of_one_id_in_a_file_are_refused(self, driver, folder):
        problem = self.refused(driver, folder, document(family(), family()))
        assert problem.cause == "family acme-1 is named already in bad.yaml"

    def test_of_two_files_that_name_a_family_none_is_taken(self, driver, folder):
        for name in ("a.yaml", "b.yaml"):
            (folder / name).write_text(document(family(), family(f"other-{name[0]}")))
        (problem,) = driver.list_problems()
        assert problem.file.endswith("b.yaml")
        assert (problem.family, "in a.yaml" in problem.cause) == ("acme-1", True)
        assert self.entry(driver, "acme-1") is None
        assert self.entry(driver, "other-a") is not None
        assert self.entry(driver, "other-b") is not None

    def test_a_family_that_is_wrong_stops_no_other_of_its_file(self, driver, folder):
        (folder / "own.yaml").write_text(document(family(image="(a+)+"), family("other-1")))
        (problem,) = driver.list_problems()
        assert problem.family == "acme-1"
        assert self.entry(driver, "other-1").off == ""

    def test_what_a_wrong_family_was_to_replace_is_not_taken_instead(self, driver, folder):
        (folder / "own.yaml").write_text(document(family("debian-13-x86_64", image="(a+)+")))
        assert [one.family for one in driver.list_problems()] == ["debian-13-x86_64"]
        assert self.entry(driver, "debian-13-x86_64") is None

    @pytest.mark.parametrize(
        ("old", "new", "cause"),
        [
            ('"acme-{date8}.qcow2"', '"acme-{build}.qcow2"', "{build} needs builds"),
            ('"acme-{date8}.qcow2"', '"{image}.qcow2"', "beside the image"),
            ("checksums:", 'builds: "latest/"\n      checksums:', "placeholders in the first"),
            ("checksums:", 'builds: "{date8}"\n      checksums:', "folders that end in /"),
            ("trust: tls", "trust: signed", "exactly where there is a signature"),
            ("kind: checksum-index", "kind: pinned", "needs image and digest"),
            ("acme-{date8}", "acme-{int}{int}", "in too many ways"),
            ("acme-{date8}", "acme-{int}1{int}", "in too many ways"),
            ("acme-{date8}", "acme-{int}-{int}-{int}-{int}-{int}", "in too many ways"),
            ("acme-{date8}", "acme-{version}-{version}-{version}", "in too many ways"),
            ("kind: checksum-index", "kind: simplestreams", "Invalid enum value"),
        ],
    )
    def test_what_does_not_fit_together_is_refused(self, driver, folder, old, new, cause):
        assert cause in self.refused(driver, folder, document(family().replace(old, new))).cause

    def test_references_are_refused_before_anything_is_built_of_them(self, driver, folder):
        bomb = "a: &a [1]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(9))
        problem = self.refused(driver, folder, bomb)
        assert (problem.line, problem.cause) == (2, "references (*name) are not taken")

    @pytest.mark.parametrize(
        ("text", "cause"),
        [
            ("schema: 1\nschema: 1\n", "twice"),
            ("schema: 2\n", "schema"),
            ("- 1\n", "object"),
            ("", "object"),
            ("[" * 40, "nested deeper"),
            ("schema: !!python/object:os.system 1\n", "could not determine"),
            ("#" * (builtin.document.FILE_BYTES_MAX + 1), "more than"),
            ("a: [\n", "expected"),
            ("a: \0\n", "no YAML"),
        ],
    )
    def test_a_file_of_another_form_is_refused(self, driver, folder, text, cause):
        assert cause in self.refused(driver, folder, text).cause

    def test_a_folder_that_is_not_there_is_told(self, tmp_path):
        driver = self.make(BuiltinCatalog, directories=[str(tmp_path / "none")])
        (problem,) = driver.list_problems()
        assert problem.cause == "there is no such folder"
        assert self.entry(driver, "debian-13-x86_64") is not None
