"""What a memo keeps of an image's disk, so that work begun with it is found when the image is gone.

Nothing of it is a secret: the URL is signed anew.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from imagesvc.interface.image_source import ImageSource
from imagesvc.worker.flow import StepContext

_PASSING = frozenset({"url", "local_path"})
_NAMES = {each.name for each in dataclasses.fields(ImageSource)} - _PASSING


def plain(source: ImageSource) -> dict[str, Any]:
    """A source as JSON."""
    return {name: each for name, each in dataclasses.asdict(source).items() if name in _NAMES}


def again(ctx: StepContext, kept: Mapping[str, Any]) -> ImageSource:
    """The source of which `plain` was made, by whatever release; its bytes may be gone."""
    known = {name: each for name, each in kept.items() if name in _NAMES}
    url = ctx.service.image_files.sign(kept["image_id"], kept["disk"], ctx.job.id)
    return ImageSource(**known, url=url)
