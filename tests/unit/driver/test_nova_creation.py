"""What the driver nova makes of servers whose owners changed what they bear."""

import contextlib
import types

import pytest

from imagesvc.interface import errors
from imagesvc.interface.operation import ProgressState
from imagesvc_drivers.compute.nova import creation, work

ASKED = work.Work(work.CREATE, "p", "3", "0" * 32)
TAGS = ("imagesvc-work-" + ASKED.mark, "imagesvc-request-1")


class Servers:
    """Servers on paper: Nova itself stands behind the peer tests."""

    def __init__(self, *servers):
        self.there = {server.id: server for server in servers}

    def tagged(self, project_id, tag):
        return [server for server in self.there.values() if tag in server.tags]

    def delete(self, project_id, server_id):
        del self.there[server_id]


class Cloud:
    """Takes tags and metadata."""

    calling = staticmethod(contextlib.nullcontext)

    def project(self, project_id):
        return types.SimpleNamespace(compute=self)

    def add_tag_to_server(self, server, tag):
        server.tags.append(tag)

    def set_server_metadata(self, server, **values):
        server.metadata |= values


def server_of(number, name=None, status="ACTIVE", ended=False, **metadata):
    tags = [*TAGS, "imagesvc-ended"] if ended else list(TAGS)
    return types.SimpleNamespace(
        id=f"s{number}", name=f"web-{number}" if name is None else name, status=status, tags=tags,
        created_at="2026-11-29T10:00:00Z", metadata=metadata, fault=None, task_state=None,
    )  # fmt: skip


def creation_of(*servers):
    there = Servers(*servers)
    return creation.Creation(Cloud(), there, None, None), there.there


def told(progress):
    return [each["server_id"] for each in progress.result]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("web-1", "web-2", "web-3"), ["s1", "s2", "s3"]),
        (("web-3", "web-2", "web-1"), ["s3", "s2", "s1"]),
        (("mine", "web-2", "web-3"), ["s1", "s2", "s3"]),
        (("web-1", "web-1", "web-1"), ["s1", "s2", "s3"]),
        (("web-0", "web-9", "web-1"), ["s3", "s1", "s2"]),
        (("", "web-", "web-" + "9" * 200), ["s1", "s2", "s3"]),
    ],
)
def test_every_server_is_in_the_result_whatever_its_owner_named_it(names, expected):
    servers = [server_of(number, name) for number, name in enumerate(names, 1)]
    made, _ = creation_of(*servers)
    assert told(made.poll(ASKED)) == expected
    assert told(made.poll(ASKED)) == expected


def test_a_renamed_server_does_not_take_the_place_of_one_that_failed():
    failed = server_of(2, status="ERROR")
    made, _ = creation_of(server_of(1), failed, server_of(3))
    assert told(made.poll(ASKED)) == ["s1", None, "s3"]
    renamed = made._servers.there["s3"]
    renamed.name = "mine"
    assert told(made.poll(ASKED)) == ["s1", None, "s3"]


@pytest.mark.parametrize("text", ["", "x", "[]", "1", '{"x": "y"}', "[" * 5000, '{"0": 1}'])
def test_errors_that_an_owner_spoiled_stop_neither_following_nor_undoing(text):
    servers = [server_of(number, imagesvc_errors=text) for number in (1, 2, 3)]
    made, there = creation_of(*servers)
    made.cancel(ASKED)
    assert there == {}
    made, _ = creation_of(*servers)
    done = made.poll(ASKED)
    assert (done.state, told(done)) == (ProgressState.DONE, ["s1", "s2", "s3"])


def test_servers_that_were_told_of_stay_and_others_go():
    made, there = creation_of(server_of(1, ended=True), server_of(2, "x", "ERROR"))
    made.cancel(ASKED)
    assert there.keys() == {"s1", "s2"}
    made, there = creation_of(server_of(1, ended=True), server_of(2, status="BUILD"))
    made.cancel(ASKED)
    assert there == {}


def test_a_server_that_goes_while_it_is_told_of_is_looked_for_once_more(monkeypatch):
    made, there = creation_of(server_of(1))

    def gone(self, server, tag):
        there.clear()
        raise errors.NotFound("Nova has no such thing.")

    monkeypatch.setattr(Cloud, "add_tag_to_server", gone)
    assert made.poll(ASKED).state is ProgressState.RUNNING
    assert made.poll(ASKED).state is ProgressState.CANCELLED
