"""The published schemas. Clients split base from extra properties by them."""

import copy
from collections.abc import Sequence
from typing import Any

import falcon

from imagesvc.domain import disk_format, image, state
from imagesvc.domain.task import TaskStatus, TaskType

_NULL_TEXT = ["null", "string"]
_NULL_NUMBER = ["null", "integer"]
_TIME = "Date and time in UTC, in whole seconds"


def _property(kind: Any, description: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "description": description, **more}


def _read_only(kind: Any, description: str, **more: Any) -> dict[str, Any]:
    return _property(kind, description, readOnly=True, **more)


_UUID = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"

IMAGE_PROPERTIES: dict[str, Any] = {
    "id": _property("string", "Identifier of the image", pattern=_UUID),
    "name": _property(_NULL_TEXT, "Name of the image", maxLength=image.NAME_LENGTH_MAX),
    "status": _read_only(
        "string",
        "Status of the image",
        enum=[str(item) for item in state.ImageStatus],
    ),
    "visibility": _property(
        "string", "Who sees the image", enum=["community", "public", "private", "shared"]
    ),
    "protected": _property("boolean", "Whether the image cannot be deleted"),
    "os_hidden": _property("boolean", "Whether default lists leave the image out"),
    "owner": _property(_NULL_TEXT, "Project that owns the image", maxLength=255),
    "checksum": _read_only(_NULL_TEXT, "MD5 of the image data", maxLength=32),
    "os_hash_algo": _read_only(_NULL_TEXT, "Algorithm of os_hash_value", maxLength=64),
    "os_hash_value": _read_only(_NULL_TEXT, "Digest of the image data in hex", maxLength=128),
    "size": _read_only(_NULL_NUMBER, "Size of the image data in bytes"),
    "virtual_size": _read_only(_NULL_NUMBER, "Size of the disk that a guest sees, in bytes"),
    "container_format": _property(
        _NULL_TEXT, "Format of the container", enum=[None, *disk_format.CONTAINER_FORMATS]
    ),
    "disk_format": _property(
        _NULL_TEXT, "Format of the disk", enum=[None, *disk_format.DISK_FORMATS]
    ),
    "min_ram": _property("integer", "Memory in MiB that a server needs to boot the image"),
    "min_disk": _property("integer", "Disk in GiB that a server needs to boot the image"),
    "tags": _property(
        "array",
        "Words attached to the image",
        items={"type": "string", "maxLength": image.TAG_LENGTH_MAX},
    ),
    "created_at": _read_only("string", f"When the image was registered. {_TIME}"),
    "updated_at": _read_only("string", f"When the image was last changed. {_TIME}"),
    "self": _read_only("string", "Path of the image"),
    "file": _read_only("string", "Path of the image data"),
    "schema": _read_only("string", "Path of this schema"),
    "direct_url": _read_only("string", "Where the data is kept, if the operator shows it"),
    "locations": _read_only(
        "array",
        "Where the data is kept, if the operator shows it",
        items={
            "type": "object",
            "required": ["url", "metadata"],
            "properties": {
                "url": {"type": "string", "maxLength": 255},
                "metadata": {"type": "object"},
            },
        },
    ),
    "stores": _read_only("string", "Stores that hold the data; only with several stores"),
}
MEMBER_PROPERTIES: dict[str, Any] = {
    "member_id": _property("string", "Project that the image is offered to"),
    "image_id": _property("string", "Identifier of the image", pattern=_UUID),
    "status": _property(
        "string", "Answer of that project", enum=[str(item) for item in state.MemberStatus]
    ),
    "created_at": _read_only("string", f"When the offer was made. {_TIME}"),
    "updated_at": _read_only("string", f"When the answer was last changed. {_TIME}"),
    "schema": _read_only("string", "Path of this schema"),
}


def _link(rel: str) -> dict[str, str]:
    return {
        "rel": rel,
        "href": "{" + {"enclosure": "file", "describedby": "schema"}.get(rel, rel) + "}",
    }


IMAGE = {
    "name": "image",
    "properties": IMAGE_PROPERTIES,
    "additionalProperties": {"type": "string"},
    "links": [_link("self"), _link("enclosure"), _link("describedby")],
}
MEMBER = {"name": "member", "properties": MEMBER_PROPERTIES}
IMAGES = {
    "name": "images",
    "properties": {
        "images": {"type": "array", "items": IMAGE},
        "first": {"type": "string"},
        "next": {"type": "string"},
        "schema": {"type": "string"},
    },
    "links": [_link("first"), _link("next"), _link("describedby")],
}
MEMBERS = {
    "name": "members",
    "properties": {
        "members": {"type": "array", "items": MEMBER},
        "schema": {"type": "string"},
    },
    "links": [_link("describedby")],
}
_TEXT = {"type": "string"}
TASK = {
    "name": "task",
    "properties": {
        "id": {"type": "string", "description": "The task"},
        "type": {"type": "string", "enum": [str(one) for one in TaskType]},
        "status": {"type": "string", "enum": [str(one) for one in TaskStatus]},
        "input": {"type": ["null", "object"], "description": "What was asked for"},
        "result": {"type": ["null", "object"], "description": "What came of it"},
        "owner": {"type": "string", "description": "Project whose image it is"},
        "message": {"type": "string", "description": "Why it failed"},
        "image_id": {"type": ["null", "string"]},
        "user_id": _TEXT,
        "request_id": _TEXT,
        "created_at": _TEXT,
        "updated_at": _TEXT,
        "expires_at": {"type": ["null", "string"], "description": "When it is forgotten"},
        "self": _TEXT,
        "schema": _TEXT,
    },
}
TASKS = {
    "name": "tasks",
    "properties": {
        "tasks": {"type": "array", "items": TASK},
        "first": _TEXT,
        "next": _TEXT,
        "schema": _TEXT,
    },
    "links": [_link("first"), _link("next"), _link("describedby")],
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "image": IMAGE,
    "images": IMAGES,
    "member": MEMBER,
    "members": MEMBERS,
    "task": TASK,
    "tasks": TASKS,
}


def schemas(disk_formats: Sequence[str]) -> dict[str, dict[str, Any]]:
    """All schemas, with the disk formats that the operator takes."""
    found = copy.deepcopy(SCHEMAS)
    for image_schema in (found["image"], found["images"]["properties"]["images"]["items"]):
        image_schema["properties"]["disk_format"]["enum"] = [None, *disk_formats]
    return found


class SchemaResource:
    """One schema."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show it."""
        resp.media = self._schema
