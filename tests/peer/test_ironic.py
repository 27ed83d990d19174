"""Ironic deploys nodes from images of here."""

import contextlib
import hashlib
import subprocess

import openstack
import pytest
import yaml

from imagesvc import context, opts, service
from tests import open_job, poll
from tests.peer.ironic_agent import IronicAgent

pytestmark = [
    pytest.mark.peer,
    pytest.mark.xdist_group("neighbours"),
    pytest.mark.timeout(900),
    # openstacksdk leaves connections to the garbage collector.
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

WAIT_S = 120.0
PAUSE_S = 0.5


@pytest.fixture(scope="module")
def baremetal(cloud, ironic):
    """openstacksdk's proxy of an administrator."""
    described = yaml.safe_load((cloud.folder / "clouds.yaml").read_text())["clouds"]["admin"]
    with openstack.connect(**described, load_yaml_config=False, load_envvars=False) as connection:
        yield connection.baremetal


@pytest.fixture
def node(baremetal):
    """A node that waits for a deployment."""
    made = baremetal.create_node(
        driver="peer",
        driver_info={"deploy_forces_oob_reboot": True},
        properties={"cpu_arch": "x86_64", "local_gb": 10, "memory_mb": 1024},
    )
    for verb, state in (("manage", "manageable"), ("provide", "available")):
        baremetal.set_node_provision_state(made, verb)
        wait(lambda state=state: shown(baremetal, made).provision_state == state)
    return made


def wait(check):
    """Until a node is as it should; each look costs Ironic and Keystone something."""
    poll.until(check, WAIT_S, pause_s=PAUSE_S)


def shown(baremetal, node):
    """The node as it is now."""
    return baremetal.get_node(node.id)


def deploy(baremetal, ironic, node, disk, **instance):
    """Deploy the node as a whole disk; gives its agent when it is active."""
    baremetal.update_node(node, instance_info=instance)
    baremetal.set_node_provision_state(node, "active")
    agent = IronicAgent(ironic, node.id, disk)
    wait(lambda: shown(baremetal, node).provision_state != "deploying")
    agent.serve(lambda: shown(baremetal, node).provision_state)
    found = shown(baremetal, node)
    assert found.provision_state == "active", found.last_error
    return agent


def signed(cloud, image_id):
    """A URL of the image's bytes as drivers get it."""
    ctx = context.RequestContext("peer", cloud.projects["demo"], frozenset({"member"}))
    built = service.build(opts.load(cloud.folder / "imagesvc.conf"), monitor=False)
    with contextlib.closing(built):
        image, job_id = built.images.get(ctx, image_id), open_job.begin(built, ctx)
        return built.image_files.image_source(ctx, image, job_id=job_id).url


def upload(cloud, path, kind, name):
    """An image of the member as the client shows it."""
    return cloud.json(
        "image", "create", "--disk-format", kind, "--container-format", "bare",
        "--file", path, name,
    )  # fmt: skip


def test_a_node_is_deployed_from_an_image(cloud, ironic, baremetal, node, disk, tmp_path, calls):
    image = upload(cloud, disk, "raw", "base")
    agent = deploy(baremetal, ironic, node, tmp_path / "sda", image_source=image["id"])
    assert agent.disk.read_bytes() == disk.read_bytes()
    assert agent.told["checksum"] == hashlib.md5(disk.read_bytes()).hexdigest()
    assert agent.told["disk_format"] == "raw"
    kept = shown(baremetal, node).instance_info
    assert kept["image_container_format"] == "bare"


def test_a_qcow2_image_reaches_the_node_as_a_raw_disk(
    cloud, ironic, baremetal, node, disk, tmp_path
):
    qcow2 = tmp_path / "disk.qcow2"
    subprocess.run(
        ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, qcow2], check=True, timeout=120
    )
    image = upload(cloud, qcow2, "qcow2", "base-qcow2")
    agent = deploy(baremetal, ironic, node, tmp_path / "sda", image_source=image["id"])
    assert agent.disk.read_bytes() == disk.read_bytes()
    assert agent.told["disk_format"] == "raw"
    assert agent.told["os_hash_value"] == hashlib.sha256(disk.read_bytes()).hexdigest()


def test_a_node_fetches_a_signed_url_itself(cloud, ironic, baremetal, node, disk, tmp_path, calls):
    image = upload(cloud, disk, "raw", "base-signed")
    url = signed(cloud, image["id"])
    agent = deploy(
        baremetal, ironic, node, tmp_path / "sda",
        image_source=url,
        image_disk_format="raw",
        image_os_hash_algo=image["properties"]["os_hash_algo"],
        image_os_hash_value=image["properties"]["os_hash_value"],
    )  # fmt: skip
    assert agent.told["urls"] == [url]
    assert agent.disk.read_bytes() == disk.read_bytes()


def test_an_image_that_is_not_active_deploys_nothing(cloud, ironic, baremetal, node, disk):
    image = upload(cloud, disk, "raw", "base-inactive")
    cloud.openstack("image", "set", "--deactivate", image["id"], cloud="admin")
    baremetal.update_node(node, instance_info={"image_source": image["id"]})
    baremetal.set_node_provision_state(node, "active")
    wait(lambda: shown(baremetal, node).provision_state == "deploy failed")
    assert "active state" in shown(baremetal, node).last_error
