"""An OVF envelope (DMTF DSP0243) as a small tree of elements, read without trust."""

import dataclasses
import re
from collections.abc import Iterator
from typing import NoReturn
from xml.parsers import expat

from imagesvc.stream.format import refusal

BYTES_MAX = 1 << 20
_NAMESPACE = re.compile(r"http://schemas\.dmtf\.org/ovf/envelope/[12]")
_DEPTH_MAX, _ELEMENTS_MAX = 64, 20_000


@dataclasses.dataclass(slots=True)
class Element:
    """One element; names of it and of its attributes without their namespaces."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list["Element"] = dataclasses.field(default_factory=list)

    def every(self, *names: str) -> Iterator["Element"]:
        """Those below it of these names, in the order of the text."""
        waiting = list(reversed(self.children))
        while waiting:
            one = waiting.pop()
            if one.name in names:
                yield one
            waiting += reversed(one.children)

    def first(self, name: str) -> "Element | None":
        """The first of its children of this name."""
        return next((one for one in self.children if one.name == name), None)

    def value(self, name: str) -> str:
        """The text of its first child of this name; empty without one."""
        found = self.first(name)
        return found.text.strip() if found is not None else ""


def parse(data: bytes) -> Element:
    """The root. Raises UnsupportedImage for what is no plain OVF: any DTD, or another encoding."""
    reader = _Reader()
    parser = expat.ParserCreate("UTF-8", namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_declarations
    parser.EntityDeclHandler = _refuse_declarations
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.take_text
    try:
        data.decode("utf-8")
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError) as exc:
        # Whatever the parser finds wrong is wrong with the descriptor.
        raise refusal.unsafe("the OVF descriptor is not readable.") from exc
    return reader.root


class _Reader:
    def __init__(self) -> None:
        self.root = Element("", {})
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._count = 0

    def start(self, element: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) == _DEPTH_MAX or self._count > _ELEMENTS_MAX:
            raise refusal.unsafe("the OVF descriptor is too deep or too long.")
        space, _, name = element.rpartition(" ")
        if not self._open and not (name == "Envelope" and _NAMESPACE.fullmatch(space)):
            raise refusal.unsafe("the OVF descriptor is no OVF envelope.")
        own = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
        if len(own) != len(attributes):
            raise refusal.unsafe("the OVF descriptor says one thing twice.")
        one = Element(name, own)
        if self._open:
            self._open[-1].children.append(one)
        else:
            self.root = one
        self._open.append(one)
        self._texts.append([])

    def end(self, element: str) -> None:
        self._open.pop().text = "".join(self._texts.pop())

    def take_text(self, text: str) -> None:
        self._texts[-1].append(text)


def _refuse_declarations(*_: object) -> NoReturn:
    raise refusal.unsafe("the OVF descriptor declares a document type or entities.")
