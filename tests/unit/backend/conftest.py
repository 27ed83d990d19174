"""Driver distributions made for a test: real packages on the path with their metadata."""

import textwrap

import pytest
from oslo_config import cfg
from stevedore import extension

HEAD = """
import threading
from oslo_config import cfg
from imagesvc.interface import audit_sink, base, compute, errors, identity, storage
LOG = []
"""
STORAGE = """
class Storage(storage.StorageDriver):
    contract = base.Version(1, 0)
    OPTS = (
        cfg.StrOpt("place", default="here", help="Where."),
        cfg.StrOpt("password", secret=True, help="Secret."),
        cfg.IntOpt("size", default=1, min=1, help="Size."),
    )
    fault = None
    state = base.HealthState.OK
    def open(self):
        LOG.append(("open", self.backend_id))
        if self.fault: raise self.fault
    def close(self): LOG.append(("close", self.backend_id))
    def info(self):
        return base.DriverInfo("stub", "test", "1",
                               frozenset({storage.StorageCapability.LOCAL_FILE}))
    def health(self):
        LOG.append(("health", self.backend_id))
        return base.Health(self.state, "detail", 1.5)
    def open_write(self, key, *, size=None): ...
    def open_read(self, key, *, offset=0, length=None): ...
    def stat(self, key): ...
    def delete(self, key): ...
    def list(self, prefix="", *, after=None, limit=1000): ...
    def usage(self): ...
"""
IDENTITY = """
class Identity(identity.IdentityDriver):
    contract = base.Version(1, 0)
    def info(self): return base.DriverInfo("stub", "test", "1")
    def health(self): return base.Health(base.HealthState.OK)
    def authenticate(self, request): ...
    def challenge(self): return "Stub"
"""


@pytest.fixture(autouse=True)
def _no_cached_entry_points(monkeypatch):
    monkeypatch.setattr(extension.ExtensionManager, "ENTRY_POINT_CACHE", {})


@pytest.fixture
def distribute(tmp_path, monkeypatch):
    """Make a distribution: name, module source, entry points by kind."""

    def make(name, source, **entry_points):
        root = tmp_path / f"site-{name}"
        root.mkdir()
        module = f"driver_{name}_{tmp_path.name.replace('-', '_')}"
        (root / f"{module}.py").write_text(HEAD + textwrap.dedent(source))
        info = root / f"{name}-2.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.5\n")
        (info / "entry_points.txt").write_text(
            "".join(
                f"[imagesvc.{kind}]\n" + "".join(f"{k} = {module}:{v}\n" for k, v in names.items())
                for kind, names in entry_points.items()
            )
        )
        monkeypatch.syspath_prepend(root)
        return module

    return make


@pytest.fixture
def stubs(distribute):
    """A distribution with a storage and an identity driver named stub; gives its module name."""
    return distribute(
        "stubs", STORAGE + IDENTITY, storage={"stub": "Storage"}, identity={"stub": "Identity"}
    )


@pytest.fixture
def configure(tmp_path):
    """Make a ConfigOpts from the text of a file; storage and identity are stubs unless named."""

    def make(
        text="",
        *,
        empty=(
            "compute",
            "volume",
            "backup",
            "baremetal",
            "encryption",
            "audit_sink",
            "converter",
        ),
    ):
        sections = [f"[{kind}]\nenabled_backends =\n" for kind in empty]
        for kind in ("storage", "identity"):
            if f"[{kind}]" not in text:
                sections.append(f"[{kind}]\nenabled_backends = local:stub\n")
        path = tmp_path / "imagesvc.conf"
        path.write_text("".join(sections) + textwrap.dedent(text))
        conf = cfg.ConfigOpts()
        conf(args=[], project="imagesvc", default_config_files=[str(path)], default_config_dirs=[])
        return conf

    return make
