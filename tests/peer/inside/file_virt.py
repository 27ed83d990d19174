"""A virt driver of Nova: its fake one, with a real raw file as the disk of each server."""

import contextlib
import os

import nova.conf
from nova.compute import task_states
from nova.image import glance
from nova.virt import fake

CONF = nova.conf.CONF


class FileDriver(fake.MediumFakeDriver):
    """Disks come from the image service and go back to it, as with libvirt."""

    def spawn(self, context, instance, image_meta, *args, **named):
        """Copy the image to the disk."""
        if instance.image_ref:
            glance.API().download(context, instance.image_ref, dest_path=_disk(instance))
        _boot(instance)
        return super().spawn(context, instance, image_meta, *args, **named)

    def power_on(self, context, instance, *args, **named):
        """It says so on its console."""
        _boot(instance)
        return super().power_on(context, instance, *args, **named)

    def get_console_output(self, context, instance):
        """Its log from the first boot on."""
        with open(_console(instance), "rb") as log:
            return log.read()

    def snapshot(self, context, instance, image_id, update_task_state):
        """Upload the disk, with the properties that the libvirt driver adds."""
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        images = glance.API()
        described = {
            "status": "active",
            "name": images.get(context, image_id)["name"],
            "disk_format": "raw",
            "container_format": "bare",
            "properties": {
                "image_location": "snapshot",
                "image_state": "available",
                "owner_id": instance.project_id,
            },
        }
        update_task_state(
            task_state=task_states.IMAGE_UPLOADING,
            expected_state=task_states.IMAGE_PENDING_UPLOAD,
        )
        with open(_disk(instance), "rb") as disk:
            images.update(context, image_id, described, disk, purge_props=False)

    def destroy(self, context, instance, *args, **named):
        """Remove the disk and the log too."""
        for path in (_disk(instance), _console(instance)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        return super().destroy(context, instance, *args, **named)


def _disk(instance):
    return os.path.join(CONF.instances_path, f"{instance.uuid}.raw")


def _console(instance):
    return os.path.join(CONF.instances_path, f"{instance.uuid}.log")


def _boot(instance):
    with open(_console(instance), "a") as log:
        log.write("booted\n")
