"""Nodes of Ironic, through openstacksdk: Bare Metal API v1, microversion 1.65.

Ironic writes the image: its agent on the node fetches the signed URL and checks the digest. This driver
keeps nothing of its own. What it does with a node stands on the node, so any process goes on with it,
and nothing that destroys a disk is asked for twice: Ironic lets one `instance_uuid` alone have a free node.
"""

import re
from typing import Any

from oslo_config import cfg

from imagesvc.interface import baremetal, base, errors
from imagesvc.interface.baremetal import DeploySpec
from imagesvc.interface.operation import Handle, Progress, ProgressState
from imagesvc_drivers.baremetal.ironic import node, work
from imagesvc_drivers.baremetal.ironic.client import IronicClient, Node, not_found
from imagesvc_drivers.baremetal.ironic.node import Mark
from imagesvc_drivers.baremetal.ironic.order import Change, Orders
from imagesvc_drivers.client import openstack_option, probe

_NODE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGEST = re.compile(r"[0-9a-f]{128}")
_FORMATS = ("raw", "qcow2")


class IronicBaremetal(baremetal.BaremetalDriver):
    """Nodes that the operator's Ironic owns."""

    contract = base.Version(1, 1)
    OPTS = (
        *openstack_option.OPTS,
        cfg.BoolOpt(
            "system_scope",
            default=True,
            help="Log in to the system instead of project_name. Ironic lets only administrators of "
            "the system change any node; say no where its policy is another.",
        ),
        cfg.ListOpt(
            "shared_resource_classes",
            default=[],
            help="Resource classes whose nodes without owner and lessee are for every project. "
            "Never name one that Nova schedules to: it would give away the same nodes.",
        ),
        cfg.BoolOpt(
            "erase",
            default=True,
            help="Turn automated cleaning on for each node that is deployed or undeployed, so that "
            "Ironic erases its disks. Without it Ironic's own setting counts, and data may be left.",
        ),
    )

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        endpoints = {"baremetal": options.endpoint}
        self._cloud = openstack_option.cloud(options, "ironic", "Ironic", endpoints)
        self._ironic = IronicClient(self._cloud)
        self._probe = probe.Probe(self._ironic.version)
        self._orders = Orders(self._ironic)
        self._shared = frozenset(options.shared_resource_classes)

    def close(self) -> None:
        """Let go of connections."""
        self._cloud.close()

    def info(self) -> base.DriverInfo:
        """Say what this driver is."""
        return base.DriverInfo(name="ironic", vendor="imagesvc", version="1.0")

    def health(self) -> base.Health:
        """Ask Ironic for its version, as the service's own user."""
        return self._probe.health()

    def get_node(self, node_id: str, *, project_id: str) -> baremetal.Node:
        """Describe one node."""
        return node.describe(self._find(node_id, project_id))

    def list_nodes(
        self, project_id: str, *, after: str | None = None, limit: int = 100
    ) -> list[baremetal.Node]:
        """List the nodes that a project may use or has."""
        found: list[baremetal.Node] = []
        for each in self._ironic.nodes():
            if len(found) >= limit:
                break
            if after is not None and each["uuid"] <= after:
                continue
            if node.is_open_to(each, project_id, self._shared):
                found.append(node.describe(each))
        return found

    def start_deploy(self, node_id: str, spec: DeploySpec, token: str) -> Handle:
        """Have Ironic write an image to the node's disk."""
        found = self._find(node_id, spec.project_id)
        name = work.name(work.DEPLOY, token)
        instance = found.get("instance_uuid")
        wanted = Mark(
            name, work.DEPLOY, spec.project_id, spec.image_id, instance or work.instance(name),
            fresh=found["provision_state"] == node.AVAILABLE,
        )  # fmt: skip
        if not self._orders.is_known(found, wanted):
            _check_image(spec, node.size_bytes(found))
            changes = [*self._erasing(), ("add", "/instance_info", _instance_info(spec))]
            if not instance:
                changes.append(("add", "/instance_uuid", wanted.instance))
            self._orders.begin(found, wanted, changes)
        return work.handle(work.DEPLOY, node_id, name)

    def start_undeploy(self, node_id: str, token: str, *, project_id: str) -> Handle:
        """Have Ironic free the node and erase its disks."""
        found = self._find(node_id, project_id)
        kept = node.mark_of(found)
        name = work.name(work.UNDEPLOY, token)
        wanted = Mark(name, work.UNDEPLOY, project_id, kept.image_id, kept.instance)
        if not self._orders.is_known(found, wanted):
            self._orders.begin(found, wanted, self._erasing())
        return work.handle(work.UNDEPLOY, node_id, name)

    def forestall(self, token: str) -> Handle | None:
        """Find deploying or erasing by its token, or see to it that it never begins."""
        names = {work.name(kind, token): kind for kind in (work.DEPLOY, work.UNDEPLOY)}
        barred = self._orders.barred
        handle = self._orders.search(names)
        if handle is not None or all(barred.has(one) for one in names):
            return handle
        for one in names:
            barred.add(one)
        # Whoever began meanwhile either sees that, or is seen here.
        handle = self._orders.search(names)
        if handle is not None:
            for one in names:
                barred.remove(one)
        return handle

    def poll(self, handle: Handle) -> Progress:
        """Say how far it is, by what stands on the node."""
        _, node_id, name = work.parse(handle)
        found = self._ironic.node(node_id)
        mark = node.mark_of(found)
        if mark.work == name:
            return self._orders.go_on(found, mark)
        if name in mark.ended:
            state, error = mark.ended[name]
            done = node_id if state == ProgressState.DONE else None
            return Progress(ProgressState(state), result=done, error=error)
        if self._orders.barred.has(name):
            return Progress(ProgressState.CANCELLED)
        raise work.unknown(handle)

    def cancel(self, handle: Handle) -> None:
        """Take a deployment of a free node back as soon as Ironic lets go of it.

        Erasing, and writing anew to a node that the project has, go on to their end.
        """
        _, node_id, name = work.parse(handle)
        found = self._ironic.node(node_id)
        mark = node.mark_of(found)
        if mark.work == name:
            self._orders.take_back(found, mark)
        else:
            self.poll(handle)

    def _erasing(self) -> list[Change]:
        """Erase the disks whenever the node is freed."""
        return [("add", "/automated_clean", True)] if self.options.erase else []

    def _find(self, node_id: str, project_id: str) -> Node:
        """A node that the project may use or has. Raises NotFound."""
        if not _NODE.fullmatch(node_id):
            raise not_found(node_id)
        found = self._ironic.node(node_id)
        if not node.is_open_to(found, project_id, self._shared):
            raise not_found(node_id)
        return found


def _instance_info(spec: DeploySpec) -> dict[str, str]:
    """What Ironic is told of the image. The URL in it is short-lived."""
    source = spec.source
    return {
        "image_source": source.url,
        "image_type": "whole-disk",
        "image_disk_format": source.disk_format,
        "image_os_hash_algo": "sha512",
        "image_os_hash_value": source.digest,
    }


def _check_image(spec: DeploySpec, size_bytes: int) -> None:
    """Raise InvalidArgument for an image that Ironic would not take, or that is too large."""
    source = spec.source
    if not _DIGEST.fullmatch(source.digest):
        raise errors.InvalidArgument(f"Image {source.image_id} has no SHA-512 digest.")
    if source.disk_format not in _FORMATS:
        raise errors.InvalidArgument(
            f"Ironic takes disks in {' and '.join(_FORMATS)}, not in {source.disk_format}."
        )
    if source.virtual_size_bytes > size_bytes:
        raise errors.InvalidArgument(
            f"The image's disk has {source.virtual_size_bytes} bytes, the node's disk has less."
        )
