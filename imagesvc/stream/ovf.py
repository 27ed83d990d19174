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
# What begins the value of an attribute.
_VALUE = re.compile(rb"=[ \t\r\n]*[\"']")
_VALUES_MAX = 20_000
# What is wrong is found before much more is read.
_FEED_BYTES = 4096


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
    _check_attributes(data)
    reader = _Reader()
    # Namespaces are looked up here: expat would join that of each name to it, however long it is.
    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_declarations
    parser.EntityDeclHandler = _refuse_declarations
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.take_text
    try:
        data.decode("utf-8")
        for begin in range(0, len(data), _FEED_BYTES):
            parser.Parse(data[begin : begin + _FEED_BYTES], False)
        parser.Parse(b"", True)
    except (expat.ExpatError, ValueError) as exc:
        # Whatever the parser finds wrong is wrong with the descriptor.
        raise refusal.unsafe("the OVF descriptor is not readable.") from exc
    return reader.root


def _check_attributes(data: bytes) -> None:
    """Bound what expat keeps of a tag before it shows it; what looks alike in texts counts too."""
    if sum(1 for _ in _VALUE.finditer(data)) > _VALUES_MAX:
        raise refusal.unsafe("the OVF descriptor has too many attributes.")


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
        name = _local(element)
        if not self._open and not (name == "Envelope" and _is_ovf(element, attributes)):
            raise refusal.unsafe("the OVF descriptor is no OVF envelope.")
        said = {key: value for key, value in attributes.items() if not _declares(key)}
        own = {_local(key): value for key, value in said.items()}
        if len(own) != len(said):
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


def _local(name: str) -> str:
    """The name without its prefix, of which there is at most one."""
    prefix, colon, local = name.partition(":")
    if not colon:
        return name
    if not (prefix and local) or ":" in local:
        raise refusal.unsafe("the OVF descriptor is not readable.")
    return local


def _declares(key: str) -> bool:
    """Whether an attribute gives a namespace its prefix."""
    return key == "xmlns" or key.startswith("xmlns:")


def _is_ovf(element: str, attributes: dict[str, str]) -> bool:
    """Whether the root is of the namespace of OVF envelopes, by its own declarations."""
    prefix, colon, _ = element.partition(":")
    space = attributes.get(f"xmlns:{prefix}" if colon else "xmlns", "")
    return _NAMESPACE.fullmatch(space) is not None


def _refuse_declarations(*_: object) -> NoReturn:
    raise refusal.unsafe("the OVF descriptor declares a document type or entities.")
