"""All virtual environments of peers, made beforehand: `python -m tests.peer.venvs`."""

from tests import keystone_server
from tests.peer import (
    barbican_server,
    cinder_server,
    ironic_server,
    nova_server,
    peer_venv,
    test_tempest,
)

PEERS = {
    "tempest": test_tempest,
    "nova": nova_server,
    "cinder": cinder_server,
    "ironic": ironic_server,
    "barbican": barbican_server,
}


def make_all():
    """One after the other, in the order in which they are needed."""
    keystone_server.install()
    for name, peer in PEERS.items():
        peer_venv.make(name, *peer.PACKAGES)


if __name__ == "__main__":
    make_all()
