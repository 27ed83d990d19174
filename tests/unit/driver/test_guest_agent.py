"""The agent of a guest, spoken to over a socket.

Why a fake agent: the real one freezes the file systems of the machine that it runs on. A guest
without an agent is a real one in the driver's own tests.
"""

import contextlib
import json
import socket
import threading
import time

import pytest

from imagesvc.interface.compute import Consistency
from imagesvc_drivers.compute.qemu import guest_agent, quiescence
from imagesvc_drivers.compute.qemu.server_folder import ServerFolder

SHORT_S = 0.4


class FakeAgent:
    """Answers as qemu-ga does; `says` maps a command to what it does instead."""

    def __init__(self, path, **says):
        self.says = says
        self.frozen = 0
        self.asked = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                line, _ = self._socket.accept()
                with line, contextlib.suppress(OSError):
                    self._talk(line)

    def _talk(self, line):
        kept = b""
        while data := line.recv(100):
            kept += data
            while b"\n" in kept:
                one, _, kept = kept.partition(b"\n")
                request = json.loads(one.rpartition(b"\xff")[2])
                name = request["execute"].removeprefix("guest-").replace("-", "_")
                self.asked.append(name)
                answer = self.says.get(name, getattr(self, name))(request.get("arguments"))
                line.sendall(answer)

    def sync_delimited(self, arguments):
        late = b'{"return": 1}\n'  # the answer to somebody who has gone
        return late + b"\xff" + json.dumps({"return": arguments["id"]}).encode() + b"\n"

    def fsfreeze_freeze(self, _):
        self.frozen = 2
        return b'{"return": 2}\n'

    def fsfreeze_thaw(self, _):
        answer, self.frozen = json.dumps({"return": self.frozen}).encode() + b"\n", 0
        return answer

    def close(self):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def folder(tmp_path):
    """A server's folder that names the agent's socket."""
    (tmp_path / "process.json").write_text(json.dumps({"agent": str(tmp_path / "a")}))
    return ServerFolder(tmp_path)


@pytest.fixture
def agent(tmp_path):
    """Makes the guest's end of the socket."""
    made = []

    def go(**says):
        made.append(FakeAgent(tmp_path / "a", **says))
        return made[-1]

    yield go
    for one in made:
        one.close()


def error(_):
    return b'{"error": {"class": "GenericError", "desc": "no"}}\n'


def silence(_):
    return b""


def noise(_):
    return b"\x00not json\n"


def flood(_):
    return b"x" * 200_000


def run(folder, body, inside=lambda: None):
    """Freeze round `inside`; what was saved."""
    saved = []
    with quiescence.frozen(folder, body, lambda one: saved.append(dict(one)), SHORT_S):
        inside()
    return saved


def test_the_guest_is_frozen_inside_and_not_after(folder, agent):
    guest, body = agent(), {"quiesce": True}
    run(folder, body, lambda: body.update(inside=guest.frozen))
    assert (body["inside"], guest.frozen) == (2, 0)
    assert quiescence.consistency(body) is Consistency.APPLICATION


def test_the_guest_is_thawed_though_the_snapshot_failed(folder, agent):
    guest = agent()
    with pytest.raises(ZeroDivisionError):
        run(folder, {"quiesce": True}, lambda: 1 / 0)
    assert guest.frozen == 0


def test_nobody_is_asked_unless_it_is_wanted(folder, agent):
    guest, body = agent(), {}
    assert run(folder, body) == []
    assert guest.asked == []
    assert quiescence.consistency(body) is Consistency.CRASH


@pytest.mark.parametrize("answer", [error, silence, noise, flood])
def test_an_agent_that_does_not_freeze_leaves_a_crash_consistent_snapshot(folder, agent, answer):
    agent(fsfreeze_freeze=answer)
    body = {"quiesce": True}
    begun = time.monotonic()
    run(folder, body)
    assert time.monotonic() - begun < 10 * SHORT_S
    assert quiescence.consistency(body) is Consistency.CRASH
    assert body["freezing"] is False


@pytest.mark.parametrize("answer", [silence, noise, flood])
def test_an_agent_that_is_not_there_is_not_asked_to_freeze(folder, agent, answer):
    guest = agent(sync_delimited=answer)
    body = {"quiesce": True}
    run(folder, body)
    assert "fsfreeze_freeze" not in guest.asked
    assert (body["freezing"], quiescence.consistency(body)) == (False, Consistency.CRASH)


def test_a_server_without_a_port_is_copied_as_it_is(folder):
    body = {"quiesce": True}
    run(folder, body)
    assert quiescence.consistency(body) is Consistency.CRASH
    folder.process_path.write_text("{}")
    assert run(folder, {"quiesce": True}) == []


def test_a_guest_that_thawed_itself_was_not_frozen(folder, agent):
    guest = agent()
    body = {"quiesce": True}
    run(folder, body, lambda: setattr(guest, "frozen", 0))
    assert quiescence.consistency(body) is Consistency.CRASH


def test_a_thaw_without_an_answer_is_tried_again(folder, agent):
    guest = agent(fsfreeze_thaw=silence)
    body = {"quiesce": True}
    run(folder, body)
    assert (body["freezing"], guest.frozen) == (True, 2)
    del guest.says["fsfreeze_thaw"]
    quiescence.thaw(folder, body, lambda _: None, SHORT_S)
    assert (body["freezing"], guest.frozen) == (False, 0)
    assert quiescence.consistency(body) is Consistency.APPLICATION


def test_whoever_goes_on_after_a_kill_thaws_first(folder, agent):
    guest = agent()
    assert guest_agent.freeze(folder.path / "a", SHORT_S)
    body = {"quiesce": True, "freezing": True, "frozen": True}
    run(folder, body)
    frozen = ["fsfreeze_thaw", "fsfreeze_freeze", "fsfreeze_thaw"]
    assert [name for name in guest.asked if name != "sync_delimited"][1:] == frozen
    assert quiescence.consistency(body) is Consistency.APPLICATION


def test_that_the_guest_may_be_frozen_is_written_down_before_it_is(folder, agent):
    saved = []
    agent(fsfreeze_freeze=lambda _: saved.append("frozen") or b'{"return": 1}\n')
    body = {"quiesce": True}
    with quiescence.frozen(folder, body, lambda one: saved.append(one["freezing"]), SHORT_S):
        pass
    assert saved[:2] == [True, "frozen"]
