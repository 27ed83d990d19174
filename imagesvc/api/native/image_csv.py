"""The list of images as CSV (RFC 4180), for spreadsheets."""

import csv
import io
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import falcon

from imagesvc.api.native import query, views
from imagesvc.context import RequestContext
from imagesvc.domain.image import Image, ImageKind, Visibility
from imagesvc.domain.image_query import FieldFilter, ImageQuery, Operator
from imagesvc.domain.state import ImageStatus
from imagesvc.manager import image as images
from imagesvc.manager import image_scan

MEDIA_TYPE = "text/csv"
LANGUAGES = ("en", "zh")
VISIBILITIES = (*(str(one) for one in Visibility), "all")
_FIELDS = {"name": None, "status": tuple(str(one) for one in ImageStatus), "os_type": None,
           "kind": tuple(str(one) for one in ImageKind)}  # fmt: skip
FILTERS = {"visibility": VISIBILITIES, "owner": None, "tag": None, "language": LANGUAGES, **_FIELDS}
_GIB = 1 << 30
# Excel takes UTF-8 for what it is only behind this mark.
_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}".encode()
# A cell that begins so is a formula to a spreadsheet; an apostrophe makes it text (OWASP, "CSV
# Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_ENCRYPTED = "cinder_encryption_key_id"

# English heading, Chinese heading
COLUMNS = (
    ("Name", "名称"),
    ("ID", "ID"),
    ("Status", "状态"),
    ("Image type", "镜像类型"),
    ("Kind", "用途"),
    ("OS", "操作系统"),
    ("OS version", "操作系统版本"),
    ("Architecture", "架构"),
    ("Disk format", "磁盘格式"),
    ("Disk capacity (GiB)", "磁盘容量(GiB)"),
    ("Size (bytes)", "大小(字节)"),
    ("Min. disk (GiB)", "最小磁盘(GiB)"),
    ("Min. memory (MiB)", "最小内存(MiB)"),
    ("Encrypted", "加密"),
    ("Source", "来源"),
    ("Owner", "所有者"),
    ("Tags", "标签"),
    ("Description", "描述"),
    ("Created", "创建时间"),
    ("Updated", "更新时间"),
)


class ImageCsvResource:
    """All images that a list shows, without pages."""

    moves_bytes = True

    def __init__(self, manager: images.ImageManager) -> None:
        self._images = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send them as they are read."""
        query.known(req, set(FILTERS))
        language = query.choice(req, "language", LANGUAGES) or _preferred(req)
        pages = image_scan.scan(self._images, req.context.caller, _asked(req))
        # The first page before the answer begins: what is refused has a status.
        first = next(pages, ())
        resp.stream = _lines(
            req.context.caller, itertools.chain((first,), pages), LANGUAGES.index(language)
        )
        resp.content_type = f"{MEDIA_TYPE}; charset=utf-8"
        resp.downloadable_as = "images.csv"


def _asked(req: falcon.Request) -> ImageQuery:
    fields = []
    for name, values in _FIELDS.items():
        value = query.choice(req, name, values) if values else query.text(req, name)
        if value is not None:
            fields.append(FieldFilter(name, Operator.EQ, value))
    tag = query.text(req, "tag")
    return ImageQuery(
        visibility=query.choice(req, "visibility", VISIBILITIES),
        owner=query.text(req, "owner"),
        tags=(tag,) if tag is not None else (),
        fields=tuple(fields),
    )


def _preferred(req: falcon.Request) -> str:
    first = (req.get_header("Accept-Language") or "").strip().lower()
    return "zh" if first.startswith("zh") else "en"


def _lines(
    ctx: RequestContext, pages: Iterable[tuple[Image, ...]], language: int
) -> Iterator[bytes]:
    yield _BOM + _text([names[language] for names in COLUMNS])
    for page in pages:
        yield b"".join(_text([_cell(value) for value in _row(ctx, image)]) for image in page)


def _text(cells: list[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerow(cells)
    return buffer.getvalue().encode()


def _row(ctx: RequestContext, image: Image) -> tuple[Any, ...]:
    capacity = image.virtual_size_bytes or image.min_disk_gib * _GIB
    return (
        image.name,
        image.id,
        str(image.status),
        str(image.visibility),
        image.kind,
        image.os_type or image.properties.get("os_distro"),
        image.properties.get("os_version"),
        image.architecture,
        image.disk_format,
        -(-capacity // _GIB) or None,
        image.size_bytes,
        image.min_disk_gib,
        image.min_ram_mib,
        "yes" if _ENCRYPTED in image.properties else "no",
        _source(image) if ctx.is_admin or image.owner == ctx.project_id else None,
        image.owner,
        " ".join(image.tags),
        image.description,
        views.time(image.created_at),
        views.time(image.updated_at),
    )


def _source(image: Image) -> str | None:
    known = {"server": image.source_server_id, "image": image.source_image_id}
    if not any(known.values()):  # a copy has its source's properties too
        said = image.properties
        known = {"server": said.get("instance_uuid"), "image": said.get("base_image_ref")}
    return next((f"{noun} {one}" for noun, one in known.items() if one), None)


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text
