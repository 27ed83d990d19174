"""The contract's signatures are recorded, so that no change of them slips by.

Renew the record with

    IMAGESVC_RECORD=1 python -m pytest tests/unit/interface/test_signature.py
"""

import dataclasses
import difflib
import enum
import importlib
import inspect
import os
import pkgutil
from pathlib import Path

import imagesvc.interface

RECORD = Path(__file__).with_name("signature.txt")
SAY = """The contract changed:

{diff}

If that is wanted:
- a new optional method with a default body, capability or field with a default: raise the minor
  of the module's VERSION; drivers that were written for the old one go on;
- anything else, also a changed meaning: raise the major, keep the old one through an adapter in
  imagesvc/interface/compat for one release, and announce what goes away one minor earlier;
- say so in a news fragment and on the driver authors' page; teach the suite the new law;
- renew the record with IMAGESVC_RECORD=1 python -m pytest {test}
"""


def _callable(name, found):
    marks = "".join(
        f"{mark} "
        for mark, is_set in (
            ("abstract", getattr(found, "__isabstractmethod__", False)),
            ("property", isinstance(found, property)),
        )
        if is_set
    )
    function = found.fget if isinstance(found, property) else found
    return f"  {marks}{name}{inspect.signature(function)}"


def _members(found):
    if issubclass(found, enum.Enum):
        return [f"  {item.name} = {item.value}" for item in found]
    if dataclasses.is_dataclass(found):
        return [
            f"  {item.name}: {item.type}"
            + ("" if item.default is dataclasses.MISSING else f" = {item.default!r}")
            + ("" if item.default_factory is dataclasses.MISSING else " = (made)")
            + ("" if item.repr else "  (not shown)")
            for item in dataclasses.fields(found)
        ]
    if issubclass(found, tuple):
        return [f"  {name}: {found.__annotations__[name]}" for name in found._fields]
    facts = [f"  {name} = {value!r}" for name, value in vars(found).items() if name == "retryable"]
    return facts + [
        _callable(name, value)
        for name, value in vars(found).items()
        if (inspect.isfunction(value) or isinstance(value, property))
        and (not name.startswith("_") or name == "__init__")
    ]


def _module(name):
    module = importlib.import_module(f"imagesvc.interface.{name}")
    lines = [f"{name} {getattr(module, 'VERSION', '')}".rstrip()]
    for symbol, value in vars(module).items():
        if symbol.isupper() and not symbol.startswith("_") and symbol != "VERSION":
            lines.append(f" {symbol} = {value!r}")
        if getattr(value, "__module__", None) != module.__name__ or symbol.startswith("_"):
            continue
        if inspect.isclass(value):
            bases = ", ".join(base.__name__ for base in value.__bases__)
            lines += [f" {symbol}({bases})", *_members(value)]
        elif inspect.isfunction(value):
            lines.append(f" {symbol}{inspect.signature(value)}")
    return lines


def test_the_contract_is_as_recorded():
    names = sorted(item.name for item in pkgutil.iter_modules(imagesvc.interface.__path__))
    found = "\n".join(line for name in names for line in _module(name)) + "\n"
    if os.environ.get("IMAGESVC_RECORD"):
        RECORD.write_text(found)
    recorded = RECORD.read_text()
    diff = "\n".join(
        difflib.unified_diff(
            recorded.split("\n"), found.split("\n"), "recorded", "found", "", "", 2, ""
        )
    )
    assert found == recorded, SAY.format(diff=diff, test="tests/unit/interface/test_signature.py")
