"""What a memo keeps of an image's disk, so that work begun with it is found when the image is gone.

Nothing of it is a secret: the URL is signed anew.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from imagesvc.interface.image_source import ImageSource
from imagesvc.worker.flow import StepContext

_PASSING = frozenset({"url", "local_path"})


def plain(source: ImageSource) -> dict[str, Any]:
    """A source as JSON."""
    return {name: each for name, each in dataclasses.asdict(source).items() if name not in _PASSING}


def again(ctx: StepContext, kept: Mapping[str, Any]) -> ImageSource:
    """The source of which `plain` was made; its bytes may be gone."""
    url = ctx.service.image_files.sign(kept["image_id"], kept["disk"])
    return ImageSource(**kept, url=url)
