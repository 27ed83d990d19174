"""qemu-img, in the sandbox. Every image's format is named; no header is followed.

Overlays and their bases are described node by node (`--image-opts`), so that a backing file
named inside an uploaded image is never opened.
"""

from pathlib import Path

