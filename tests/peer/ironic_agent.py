"""What runs in the memory of a bare-metal node while Ironic deploys it, as a process can be it.

Ironic's own agent wants hardware, so this one stands in for it: it speaks the agent's protocol
(version 1 of ironic-python-agent's API) and does what concerns an image service, to fetch the
image that it is told, check the digest, and write it to the disk; and to erase the disk.
"""

import contextlib
import hashlib
import http.server
import json
import threading
import time
from pathlib import Path

import requests

API_VERSION = "1.72"
AGENT_VERSION = "11.0.0"
DEPLOY_S = 180.0
BEAT_S = 1.0
LOOK_S = 0.5
# Ironic asks for steps again and again until there is one; priority 0 means that it runs none.
_STEP = {"interface": "deploy", "step": "nothing", "priority": 0}
_ERASE = {"interface": "deploy", "step": "erase_devices", "priority": 10, "abortable": True}
WAITING = ("wait call-back", "clean wait")
BUSY = ("deploying", "cleaning", *WAITING)
_RESULTS = {
    "get_clean_steps": {"clean_steps": {"peer": [_ERASE]}, "hardware_manager_version": {}},
    "get_deploy_steps": {"deploy_steps": {"peer": [_STEP]}, "hardware_manager_version": {}},
    "get_partition_uuids": {},
}


class IronicAgent:
    """The agent of one node; `disk` is the file that stands for its disk.

    `told` is what Ironic said of the image: URL, digests, format.
    """

    def __init__(self, url: str, node_id: str, disk: Path) -> None:
        self.disk = disk
        self.told: dict = {}
        self._url = url
        self._node_id = node_id
        self._headers = {"X-OpenStack-Ironic-API-Version": API_VERSION}
        self._commands: list[dict] = []

    def serve(self, state) -> None:
        """Do what Ironic tells as long as `state()` is one in which it may."""
        agent = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self._answer({"commands": agent._commands})

            def do_POST(self):
                length = int(self.headers["Content-Length"])
                self._answer(agent._run(json.loads(self.rfile.read(length))))

            def _answer(self, body):
                data = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *words):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self._beat_until_done(f"http://127.0.0.1:{server.server_port}", state)
            server.shutdown()

    def _beat_until_done(self, own_url, state):
        found = self._call("GET", f"/v1/lookup?node_uuid={self._node_id}")
        body = {
            "callback_url": own_url,
            "agent_version": AGENT_VERSION,
            "agent_token": found["config"]["agent_token"],
        }

        end = time.monotonic() + DEPLOY_S
        while (now := state()) in BUSY:
            assert time.monotonic() < end, f"the node is still {now}"
            if now in WAITING:
                self._call("POST", f"/v1/heartbeat/{self._node_id}", body)
            time.sleep(BEAT_S)

    def _call(self, method, path, body=None):
        found = requests.request(
            method, self._url + path, json=body, headers=self._headers, timeout=60
        )
        assert found.ok, found.text
        return found.json() if found.content else None

    def _run(self, command):
        """Run one command to its end."""
        name = command["name"].rpartition(".")[2]
        done = {
            "id": str(len(self._commands)),
            "command_name": name,
            "command_params": command["params"],
            "command_status": "SUCCEEDED",
            "command_error": None,
            "command_result": _RESULTS.get(name, {}),
        }
        if name == "execute_clean_step":
            done["command_result"] = {"clean_result": "", "clean_step": command["params"]["step"]}
            self.disk.write_bytes(bytes(self.disk.stat().st_size if self.disk.exists() else 0))
        if name == "execute_deploy_step":
            step = command["params"]["step"]
            done["command_result"] = {"deploy_result": "", "deploy_step": step}
            try:
                self._write(step["args"]["image_info"])
            except Exception as exc:  # whatever it is, Ironic is to hear of it
                done["command_status"] = "FAILED"
                done["command_error"] = {"message": repr(exc), "type": type(exc).__name__}
        self._commands.append(done)
        return done

    def _write(self, told):
        self.told = told
        (url,) = told["urls"]
        # As Ironic's agent chooses; of an image that is raw already Ironic 39 tells the MD5 alone.
        algorithm, value = told.get("os_hash_algo"), told.get("os_hash_value")
        digest = hashlib.new(algorithm or "md5")
        with requests.get(url, stream=True, timeout=60) as found, self.disk.open("wb") as disk:
            found.raise_for_status()
            for chunk in found.iter_content(1 << 20):
                digest.update(chunk)
                disk.write(chunk)
        assert digest.hexdigest() == (value or told["checksum"]), f"{url} has another digest"


class AgentKeeper:
    """Gives each node an agent whenever Ironic has booted it into one.

    `nodes` lists the nodes as openstacksdk shows them; the disks are files of `folder`, by node id.
    """

    def __init__(self, url: str, folder: Path, nodes) -> None:
        self._url = url
        self._folder = folder
        self._nodes = nodes
        self._served: dict[str, threading.Thread] = {}
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "AgentKeeper":
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watcher.join()

    def _watch(self):
        while not self._over.wait(LOOK_S):
            for node in self._nodes():
                thread = self._served.get(node.id)
                if node.provision_state in WAITING and not (thread and thread.is_alive()):
                    self._served[node.id] = threading.Thread(
                        target=self._serve, args=(node.id,), daemon=True
                    )
                    self._served[node.id].start()

    def _serve(self, node_id):
        agent = IronicAgent(self._url, node_id, self._folder / node_id)
        # Once Ironic boots the node anew it knows this agent no more: the next one takes over.
        with contextlib.suppress(AssertionError):
            agent.serve(lambda: self._state(node_id))

    def _state(self, node_id):
        return next(node.provision_state for node in self._nodes() if node.id == node_id)
