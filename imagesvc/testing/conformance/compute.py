"""Laws of compute drivers (`imagesvc.interface.compute`).

class TestAcmeCompute(ComputeConformance):
    @pytest.fixture
    def driver(self, tmp_path): return self.make(AcmeCompute, url=...)

    @pytest.fixture
    def image_source(self): return ImageSource(...)    # boots, and says something on COM1
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from imagesvc.interface import compute, errors
from imagesvc.interface.compute import ComputeCapability, ServerSpec, ServerState
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import Handle, ProgressState
from imagesvc.testing.conformance import http_file
from imagesvc.testing.conformance.comparison import same
from imagesvc.testing.conformance.compute_attach import ComputeAttachConformance
from imagesvc.testing.conformance.compute_rebuild import ComputeRebuildConformance
from imagesvc.testing.conformance.compute_server import FOREIGN, PROJECT, UNKNOWN
from imagesvc.testing.conformance.operation import follow, result_of

__all__ = ["FOREIGN", "PROJECT", "UNKNOWN", "ComputeConformance"]


class ComputeConformance(ComputeAttachConformance, ComputeRebuildConformance):
    """The suite; servers that it makes are deleted after each test."""

    def test_servers_of_one_creation_run_and_are_numbered(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """ServerSpec: with a count above one the servers are named name-1, name-2, ..."""
        made = result_of(driver, driver.start_create(spec, 3, "three"))
        assert [each["error"] for each in made] == ["", "", ""]
        servers = [
            driver.get_server(each["server_id"], project_id=self.project_id) for each in made
        ]
        assert [server.name for server in servers] == ["law-1", "law-2", "law-3"]
        assert {server.state for server in servers} == {ServerState.RUNNING}
        assert len({server.server_id for server in servers}) == 3
        assert servers[0].disks[0].boot
        assert servers[0].image_id == spec.image_id
        for each in servers:
            self.console(driver, each.server_id)

    def test_the_list_has_pages_in_the_order_of_ids(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """list_servers: ordered by id, those after the id `after`, of this project."""
        result_of(driver, driver.start_create(spec, 2, "pages"))
        every = [server.server_id for server in driver.list_servers(self.project_id)]
        assert every == sorted(every)
        assert len(every) == 2
        first = driver.list_servers(self.project_id, limit=1)
        rest = driver.list_servers(self.project_id, after=first[0].server_id)
        assert [server.server_id for server in (*first, *rest)] == every
        assert driver.list_servers(self.foreign_id) == []

    def test_a_server_of_another_project_is_not_found(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """A server of another project is NotFound, and nothing happens to it."""
        mine = self.server(driver, spec)
        for server_id, project_id in (
            (mine, self.foreign_id),
            (UNKNOWN, self.project_id),
            ("../x", self.project_id),
        ):
            for call in (
                lambda i, p: driver.get_server(i, project_id=p),
                lambda i, p: driver.start_server(i, project_id=p),
                lambda i, p: driver.stop_server(i, project_id=p),
                lambda i, p: driver.read_console(i, project_id=p),
                lambda i, p: driver.start_snapshot(i, "disk0", "foreign", project_id=p),
            ):
                with pytest.raises(errors.NotFound):
                    call(server_id, project_id)
            driver.delete_server(server_id, project_id=project_id)
        assert driver.get_server(mine, project_id=self.project_id).state is ServerState.RUNNING

    def test_servers_stop_start_and_go(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """stop, start and delete may be repeated; the console log goes on."""
        server_id = self.server(driver, spec)
        for _ in range(2):
            driver.stop_server(server_id, project_id=self.project_id)
        assert driver.get_server(server_id, project_id=self.project_id).state is ServerState.STOPPED
        offset = len(driver.read_console(server_id, project_id=self.project_id))
        for _ in range(2):
            driver.start_server(server_id, project_id=self.project_id)
        assert driver.get_server(server_id, project_id=self.project_id).state is ServerState.RUNNING
        self.console(driver, server_id, offset=offset)
        for _ in range(2):
            driver.delete_server(server_id, project_id=self.project_id)
        with pytest.raises(errors.NotFound):
            driver.get_server(server_id, project_id=self.project_id)

    def test_another_instance_finds_the_servers(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """Servers outlive the service."""
        server_id = self.server(driver, spec)
        driver.close()
        other = self.again(driver)
        found = other.get_server(server_id, project_id=self.project_id)
        assert found.state is ServerState.RUNNING
        other.stop_server(server_id, project_id=self.project_id)
        assert driver.get_server(server_id, project_id=self.project_id).state is ServerState.STOPPED

    @pytest.mark.parametrize("stopped", [False, True])
    def test_a_snapshot_reads_as_the_raw_disk(
        self, driver: compute.ComputeDriver, spec: ServerSpec, stopped: bool
    ) -> None:
        """open_snapshot: the raw bytes from `offset`, snapshot_size of them."""
        server_id = self.server(driver, spec)
        if stopped:
            driver.stop_server(server_id, project_id=self.project_id)
        disk = driver.get_server(server_id, project_id=self.project_id).disks[0]
        snapshot_id = self.snapshot(driver, server_id)
        driver.delete_server(server_id, project_id=self.project_id)
        assert driver.snapshot_size(snapshot_id) == disk.size_bytes
        with driver.open_snapshot(snapshot_id) as stream:
            whole = stream.read()
        assert len(whole) == disk.size_bytes
        with driver.open_snapshot(snapshot_id, offset=1000) as stream:
            assert same(stream.read(5000), whole[1000:6000])
        for _ in range(2):
            driver.delete_snapshot(snapshot_id)
        with pytest.raises(errors.NotFound):
            driver.open_snapshot(snapshot_id)
        with pytest.raises(errors.NotFound):
            driver.snapshot_size(snapshot_id)

    def test_a_snapshot_is_an_image_only_with_its_capability(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """snapshot_image (SNAPSHOT_IMAGE): an id, the same each time; NotFound once it is gone."""
        snapshot_id = self.snapshot(driver, self.server(driver, spec))
        if not self.has(driver, ComputeCapability.SNAPSHOT_IMAGE):
            with pytest.raises(errors.NotSupported):
                driver.snapshot_image(snapshot_id)
            return
        image_id = driver.snapshot_image(snapshot_id)
        assert image_id
        assert self.again(driver).snapshot_image(snapshot_id) == image_id
        driver.delete_snapshot(snapshot_id)
        with pytest.raises(errors.NotFound):
            driver.snapshot_image(snapshot_id)

    def test_an_unknown_disk_is_not_found(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """start_snapshot of a disk that the server does not have raises NotFound."""
        server_id = self.server(driver, spec)
        with pytest.raises(errors.NotFound):
            driver.start_snapshot(server_id, "no-such-disk", "disk", project_id=self.project_id)

    def test_a_creation_of_other_bytes_fails_and_leaves_nothing(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """FAILED if none was made; bytes that are not those of the digest make no server."""
        wrong = dataclasses.replace(spec.disks[0], digest="0" * 128)
        handle = driver.start_create(dataclasses.replace(spec, disks=(wrong,)), 2, "wrong")
        ended = follow(driver, handle)
        assert ended.state is ProgressState.FAILED
        assert ended.error
        assert driver.list_servers(self.project_id) == []

    def test_an_image_without_a_local_file_comes_by_its_url(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """ImageSource: `url` takes Range and needs no token; `local_path` may be missing."""
        path = spec.disks[0].local_path
        if path is None:
            self.note("`image_source` has no local file, so all laws use its url")
            return
        with http_file.served(path, self.ADDRESS) as url:
            source = dataclasses.replace(spec.disks[0], url=url, local_path=None)
            server_id = self.server(driver, dataclasses.replace(spec, disks=(source,)))
        disk = driver.get_server(server_id, project_id=self.project_id).disks[0]
        assert disk.size_bytes >= source.virtual_size_bytes

    def test_quiesce_needs_its_capability(
        self, driver: compute.ComputeDriver, spec: ServerSpec
    ) -> None:
        """`quiesce=True` only with QUIESCE; snapshot_consistency tells what came of it."""
        server_id = self.server(driver, spec)
        disk_id = driver.get_server(server_id, project_id=self.project_id).disks[0].disk_id

        def start() -> Handle:
            return driver.start_snapshot(
                server_id, disk_id, "quiesce", project_id=self.project_id, quiesce=True
            )

        if self.has(driver, ComputeCapability.QUIESCE):
            found = driver.snapshot_consistency(result_of(driver, start()))
            assert found in list(compute.Consistency)
            plain = driver.snapshot_consistency(self.snapshot(driver, server_id))
            assert plain is compute.Consistency.CRASH
            return
        with pytest.raises(errors.NotSupported):
            start()

    def test_optional_methods_say_so_when_missing(
        self, driver: compute.ComputeDriver, image_source: ImageSource
    ) -> None:
        """Without the capability a method raises NotSupported."""
        optional: dict[ComputeCapability, Callable[[], Any]] = {
            ComputeCapability.ATTACH: lambda: driver.attach_volume(
                UNKNOWN, {}, project_id=self.project_id
            ),
            ComputeCapability.CONSOLE_WRITE: lambda: driver.write_console(
                UNKNOWN, b"x", project_id=self.project_id
            ),
            ComputeCapability.REBUILD: lambda: driver.start_rebuild(
                UNKNOWN, image_source, "rebuild", project_id=self.project_id
            ),
        }
        for capability, call in optional.items():
            known = self.has(driver, capability)
            with pytest.raises(errors.NotFound if known else errors.NotSupported):
                call()
        if not self.has(driver, ComputeCapability.ATTACH):
            with pytest.raises(errors.NotSupported):
                driver.detach_volume(UNKNOWN, UNKNOWN, project_id=self.project_id)
