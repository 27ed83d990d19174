"""What the driver nova does without Nova: handles, flavors, states, bytes on the wire."""

import json
import types

import pytest

from imagesvc.interface import errors
from imagesvc.interface.compute import ServerSpec, ServerState
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import HANDLE_BYTES_MAX, ProgressState
from imagesvc.testing.conformance.options import options_of
from imagesvc_drivers.compute.nova import NovaCompute, flavor, server_view, work
from tests import web_server
from tests.unit.driver.test_openstack_cloud import answering

GIB = 1 << 30


def spec_of(**values):
    source = ImageSource("image", 0, "raw", 5, 2 * GIB, "0" * 128, "http://x")
    return ServerSpec(**{"name": "n", "project_id": "p", "disks": (source,), **values})


def flavor_of(name, ram=64, vcpus=1, disk=2, disabled=False):
    return types.SimpleNamespace(id=name, ram=ram, vcpus=vcpus, disk=disk, is_disabled=disabled)


def test_a_handle_says_what_it_is():
    made = work.Work(work.CREATE, "a" * 64, "3", work.mark("token"))
    assert work.parse(made.handle) == made
    assert len(made.handle) < HANDLE_BYTES_MAX
    assert work.mark("token") != work.mark("another")


@pytest.mark.parametrize(
    "handle",
    ["", "create", "create.p.x.0", "create.p.abc." + "0" * 32, "snapshot.p/q.1." + "0" * 32,
     "refused.*", "rebuild.p.1." + "0" * 32],
)  # fmt: skip
def test_what_is_no_handle_is_not_found(handle):
    with pytest.raises(errors.NotFound):
        work.parse(handle)


def test_a_refusal_is_in_its_handle_however_long():
    found = work.parse(work.refused("é" * 5000))
    assert found.kind == work.REFUSED
    assert found.subject.startswith("éé")
    assert len(work.refused("é" * 5000)) < HANDLE_BYTES_MAX


@pytest.mark.parametrize("token", ["", "x" * 1025])
def test_a_token_has_its_length(token):
    with pytest.raises(errors.InvalidArgument):
        work.mark(token)


def test_the_smallest_flavor_that_fits_is_taken():
    given = [
        flavor_of("off", disabled=True), flavor_of("large", ram=128), flavor_of("fits"),
        flavor_of("small disk", disk=1), flavor_of("wide", vcpus=2, ram=64), flavor_of("ram", ram=63),
    ]  # fmt: skip
    assert flavor.choose(given, spec_of(), zero_disk=False).id == "fits"
    assert flavor.choose(given, spec_of(vcpus=2), zero_disk=False).id == "wide"
    assert flavor.choose(given, spec_of(memory_mib=256), zero_disk=False) is None


def test_a_flavor_without_a_size_is_taken_only_if_it_is_allowed_and_the_image_is_enough():
    given = [flavor_of("as image", disk=0)]
    assert flavor.choose(given, spec_of(), zero_disk=False) is None
    assert flavor.choose(given, spec_of(), zero_disk=True).id == "as image"
    assert flavor.choose(given, spec_of(disk_bytes=3 * GIB), zero_disk=True) is None


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("ACTIVE", ServerState.RUNNING),
        ("PAUSED", ServerState.RUNNING),
        ("VERIFY_RESIZE", ServerState.RUNNING),
        ("SHUTOFF", ServerState.STOPPED),
        ("SHELVED_OFFLOADED", ServerState.STOPPED),
        ("BUILD", ServerState.BUILDING),
        ("REBUILD", ServerState.BUILDING),
        ("ERROR", ServerState.ERROR),
    ],
)
def test_a_status_of_nova_is_a_state_of_ours(status, state):
    assert server_view.state(types.SimpleNamespace(status=status)) is state


def driver_of(server):
    """The driver, with Nova and its image service at one address."""
    url = server.url("/v2.1")
    values = {"token": "t", "endpoint": url, "image_endpoint": url, "timeout_s": 1.0}
    return NovaCompute(options_of(NovaCompute, values), backend_id="test")


def test_nova_away_is_down_and_says_why():
    with web_server.serving(answering("503 Service Unavailable")) as server:
        health = driver_of(server).health()
    assert health.state == "down"
    assert "503" in health.detail


def test_an_id_that_is_none_never_reaches_nova():
    with web_server.serving(answering("200 OK", {})) as server:
        for server_id in ("../flavors", "x", "3F2F4F0E-0000-4000-8000-000000000000"):
            with pytest.raises(errors.NotFound):
                driver_of(server).get_server(server_id, project_id="p")
    assert server.requests == []


def test_a_refusal_is_failed_and_needs_no_nova():
    with web_server.serving(answering("200 OK", {})) as server:
        found = driver_of(server).poll(work.refused("No flavor."))
    assert (found.state, found.error) == (ProgressState.FAILED, "No flavor.")


SNAPSHOT = "p.3f2f4f0e-0000-4000-8000-000000000000"
BODY = bytes(range(200))


def images(file_answer, disk_format="raw"):
    """An image service with one image, whose bytes come as `file_answer` says."""
    version = {"id": "v2.16", "status": "CURRENT"}
    shown = {"id": SNAPSHOT[2:], "status": "active", "disk_format": disk_format, "size": 200}

    def script(head, connection):
        path = head.split()[1]
        if path.endswith(b"/file"):
            connection.sendall(file_answer(head))
            return
        own = {"rel": "self", "href": f"http://127.0.0.1:{connection.getsockname()[1]}/v2.1/"}
        versions = {"versions": [{**version, "links": [own]}]}
        body = shown if b"/images/" in path else versions
        kind = "Content-Type: application/json"
        connection.sendall(web_server.answer(json.dumps(body).encode(), kind))

    return script


def part(head):
    """An honest answer to a Range."""
    begin = int(head.partition(b"Range: bytes=")[2].partition(b"-")[0])
    return web_server.answer(BODY[begin:], status="206 Partial Content")


def test_a_snapshot_is_read_from_any_byte_on():
    with web_server.serving(images(part)) as server:
        driver = driver_of(server)
        for offset in (0, 1, 199, 200):
            with driver.open_snapshot(SNAPSHOT, offset=offset) as stream:
                assert stream.read() == BODY[offset:]
        with pytest.raises(errors.InvalidArgument):
            driver.open_snapshot(SNAPSHOT, offset=201)


def test_a_snapshot_that_breaks_off_is_unavailable():
    def cut(head):
        return web_server.answer(BODY[:50], length=200)

    with (
        web_server.serving(images(cut)) as server,
        driver_of(server).open_snapshot(SNAPSHOT) as stream,
        pytest.raises(errors.Unavailable),
    ):
        stream.read()


def test_a_snapshot_of_another_format_says_what_to_set():
    with web_server.serving(images(part, "qcow2")) as server:
        driver = driver_of(server)
        assert driver.snapshot_image(SNAPSHOT) == SNAPSHOT[2:]
        with pytest.raises(errors.NotSupported) as raised:
            driver.open_snapshot(SNAPSHOT)
    assert "snapshot_image_format" in raised.value.operator_message


def test_a_server_of_no_image_is_refused_before_nova_is_asked():
    with web_server.serving(answering("200 OK", {})) as server:
        with pytest.raises(errors.NotSupported, match="make an image first"):
            driver_of(server).start_create(spec_of(), 1, "token")
        assert server.requests == []


def test_of_several_images_of_one_work_the_oldest_stays_and_all_go_with_the_snapshot():
    server_id, mark = "3f2f4f0e-0000-4000-8000-00000000000f", work.mark("token")
    found = {
        f"3f2f4f0e-0000-4000-8000-00000000000{number}": {
            "status": "active", "created_at": f"2026-11-29T10:00:0{9 - number}Z",
            "imagesvc_snapshot": mark, "instance_uuid": server_id, "protected": number == 2,
        }
        for number in (1, 2)
    }  # fmt: skip
    younger, older = found
    kept_out = {
        "status": "active", "created_at": "2026-11-29T09:00:00Z",
        "imagesvc_snapshot": work.mark("other"), "instance_uuid": server_id,
    }  # fmt: skip
    changes = []

    def script(head, connection):
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        path = target.partition("?")[0].rstrip("/")
        own = {"rel": "self", "href": f"http://127.0.0.1:{connection.getsockname()[1]}/v2.1/"}
        version = {"id": "v2.1", "status": "CURRENT", "version": "2.100", "min_version": "2.1"}
        status, body = "200 OK", {"version": {**version, "links": [own]}}
        image_id = path.rpartition("/")[2]
        if path.endswith("/images"):
            # The last is of other work: not every service in between knows the filter.
            other = {**kept_out, "id": "3f2f4f0e-0000-4000-8000-000000000009"}
            body = {"images": [*({"id": key, **each} for key, each in found.items()), other]}
        elif image_id in found and method == "PATCH":
            found[image_id]["protected"] = False
            body = {}
        elif image_id in found and method == "DELETE":
            status = "403 Forbidden" if found[image_id]["protected"] else "204 No Content"
            body = {} if found.pop(image_id)["protected"] else None
        elif image_id in found:
            body = {"id": image_id, **found[image_id]}
        elif path.count("/") > 1:
            status, body = "404 Not Found", {}
        if method != "GET":
            changes.append((method, image_id))
        text = b"" if body is None else json.dumps(body).encode()
        connection.sendall(web_server.answer(text, "Content-Type: application/json", status=status))

    with web_server.serving(script) as server:
        driver = driver_of(server)
        handle = driver.start_snapshot(server_id, "root", "token", project_id="p")
        found[younger]["status"], kept = "active", dict(found)
        done = driver.poll(handle)
        assert (done.state, done.result) == (ProgressState.DONE, f"p.{older}")
        assert changes == [("DELETE", younger)]
        found |= kept
        changes.clear()
        driver.delete_snapshot(done.result)
        driver.delete_snapshot(done.result)
    assert changes == [("DELETE", younger), ("PATCH", older), ("DELETE", older)]
    assert found == {}
