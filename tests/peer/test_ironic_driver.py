"""Nodes of a real Ironic as bare metal of this service: the laws of the kind, and our own API."""

import dataclasses
import hashlib
import uuid

import openstack
import pytest
import yaml

from imagesvc.interface import errors
from imagesvc.interface.baremetal import NodeState
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import ProgressState
from imagesvc.testing.conformance import http_file
from imagesvc.testing.conformance.baremetal import PROJECT, BaremetalConformance
from imagesvc.testing.conformance.operation import follow, result_of
from imagesvc_drivers.baremetal.ironic import IronicBaremetal
from tests import poll
from tests.keystone_server import PASSWORD
from tests.peer.ironic_agent import AgentKeeper

pytestmark = [
    pytest.mark.peer,
    pytest.mark.xdist_group("neighbours"),
    pytest.mark.timeout(900),
    # openstacksdk leaves connections to the garbage collector.
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

WAIT_S = 120.0
DISK_BYTES = 3 << 20


@pytest.fixture(scope="module")
def baremetal(cloud, ironic):
    """openstacksdk's proxy of an administrator, who makes the nodes."""
    described = yaml.safe_load((cloud.folder / "clouds.yaml").read_text())["clouds"]["admin"]
    with openstack.connect(**described, load_yaml_config=False, load_envvars=False) as connection:
        yield connection.baremetal


@pytest.fixture(scope="module")
def disks(tmp_path_factory):
    """The folder of the nodes' disks, a file a node."""
    return tmp_path_factory.mktemp("disks")


@pytest.fixture(scope="module")
def keeper(ironic, baremetal, disks):
    """Agents for all nodes, whenever Ironic boots one into them."""
    with AgentKeeper(ironic, disks, lambda: list(baremetal.nodes(details=True))) as kept:
        yield kept


def make_node(baremetal, lessee):
    """A node that waits for a deployment by this project; its id."""
    made = baremetal.create_node(
        driver="peer",
        driver_info={"deploy_forces_oob_reboot": True},
        properties={"cpu_arch": "x86_64", "local_gb": 1, "memory_mb": 1024},
        lessee=lessee,
    )
    for verb, state in (("manage", "manageable"), ("provide", "available")):
        baremetal.set_node_provision_state(made, verb)
        poll.until(lambda state=state: baremetal.get_node(made.id).provision_state == state, WAIT_S)
    return made.id


@pytest.fixture(scope="module")
def disk_url(disk):
    """Where the nodes' agents fetch the image."""
    with http_file.served(disk, "127.0.0.1") as url:
        yield url


@pytest.fixture(scope="module")
def law_node(baremetal, keeper):
    """The node of the laws, made once."""
    return make_node(baremetal, PROJECT)


@pytest.fixture(scope="module")
def login(cloud, ironic):
    """Options of the driver for an administrator of the system."""
    name = f"ironic-{uuid.uuid4().hex}"
    cloud.keystone.user(cloud.keystone.project(), name=name)
    cloud.keystone.grant_system(name, "admin")
    return {
        "auth_url": cloud.keystone.url, "username": name, "password": PASSWORD,
        "region_name": "RegionOne", "timeout_s": 120.0,
    }  # fmt: skip


class TestIronicBaremetal(BaremetalConformance):
    DEPLOY_CRASH_POINTS = ("baremetal.ironic.claimed", "baremetal.ironic.asked")
    UNDEPLOY_CRASH_POINTS = ("baremetal.ironic.claimed", "baremetal.ironic.asked")

    @pytest.fixture
    def driver(self, login):
        made = self.make(IronicBaremetal, **login)
        made.health()  # a login costs Keystone more than the law of health allows a busy machine
        return made

    @pytest.fixture
    def node_id(self, law_node):
        return law_node

    @pytest.fixture
    def image_source(self, disk, disk_url):
        return ImageSource(
            image_id=str(uuid.uuid4()), disk=0, disk_format="raw",
            size_bytes=DISK_BYTES, virtual_size_bytes=DISK_BYTES,
            digest=hashlib.sha512(disk.read_bytes()).hexdigest(), url=disk_url, local_path=disk,
        )  # fmt: skip

    def test_the_bytes_are_on_the_disk_until_it_is_erased(self, driver, node_id, spec, disk, disks):
        self.deploy(driver, node_id, spec)
        assert (disks / node_id).read_bytes() == disk.read_bytes()
        result_of(driver, driver.start_undeploy(node_id, "erase", project_id=PROJECT))
        assert not any((disks / node_id).read_bytes())

    def test_a_deployment_that_fails_says_why_and_may_be_asked_for_again(
        self, driver, node_id, spec
    ):
        wrong = dataclasses.replace(spec.source, digest=spec.source.digest[::-1])
        spoiled = dataclasses.replace(spec, source=wrong)
        ended = follow(driver, driver.start_deploy(node_id, spoiled, "spoiled"))
        assert ended.state is ProgressState.FAILED
        assert "another digest" in ended.error
        handle = driver.start_deploy(node_id, spec, "spoiled")
        assert result_of(driver, handle) == node_id

    def test_a_deployment_is_taken_back_and_the_node_is_free(self, driver, node_id, spec):
        handle = driver.start_deploy(node_id, spec, "back")
        poll.until(lambda: driver.cancel(handle) or driver.poll(handle).done, WAIT_S)
        assert driver.poll(handle).state is ProgressState.CANCELLED
        assert driver.get_node(node_id, project_id=PROJECT).state is NodeState.AVAILABLE
        assert driver.start_deploy(node_id, spec, "back") == handle
        assert driver.poll(handle).state is ProgressState.CANCELLED

    def test_what_another_service_has_is_left_alone(self, driver, node_id, spec, baremetal):
        baremetal.update_node(node_id, instance_id=str(uuid.uuid4()))
        try:
            for start in (
                lambda: driver.start_deploy(node_id, spec, "foreign"),
                lambda: driver.start_undeploy(node_id, "foreign", project_id=PROJECT),
            ):
                with pytest.raises(errors.Busy, match="another service"):
                    start()
        finally:
            baremetal.patch_node(node_id, [{"op": "remove", "path": "/instance_uuid"}])


def test_a_node_is_deployed_and_freed_through_our_own_api(cloud, baremetal, keeper, disk, disks):
    node_id = make_node(baremetal, cloud.projects["demo"])
    image = cloud.json(
        "image", "create", "--disk-format", "raw", "--container-format", "bare",
        "--file", disk, "of-metal",
    )["id"]  # fmt: skip
    assert [each["ID"] for each in cloud.json("node", "list", command="imagesvc")] == [node_id]
    cloud.imagesvc("node", "deploy", "--image", image, "--wait", node_id)
    assert (disks / node_id).read_bytes() == disk.read_bytes()
    found = cloud.json("node", "show", node_id, command="imagesvc")
    assert (found["state"], found["image_id"]) == ("active", image)
    refused = cloud.run("imagesvc", "--os-cloud", "other", "node", "show", node_id, check=False)
    assert refused.returncode != 0
    cloud.imagesvc("node", "undeploy", "--wait", node_id)
    assert not any((disks / node_id).read_bytes())
    assert cloud.json("node", "show", node_id, command="imagesvc")["state"] == "available"
