"""imagesvc-manage metadef: loads metadata definitions, those that ship or an operator's own."""

import argparse
import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

import imagesvc
from imagesvc import context, errors
from imagesvc.api import media
from imagesvc.api.glance import metadef_body
from imagesvc.cmd import command_line
from imagesvc.db import engine
from imagesvc.domain import metadef
from imagesvc.manager import installation_key
from imagesvc.manager.metadef_access import NamespaceAccess
from imagesvc.manager.metadef_namespace import MetadefNamespaceManager
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer

_ENDINGS = (".yaml", ".yml", ".json")
_SOURCE = "etc/imagesvc/metadefs"
_INSTALLED = "share/imagesvc/metadefs"
_Namespace = tuple[metadef.NamespaceFields, metadef.Content]


def load(parsed: argparse.Namespace) -> int:
    """Load namespaces from a file or folder; those that are there stay, unless --replace is given."""
    conf = command_line.load(parsed)
    # All are read before the first is loaded.
    found = [_read(path) for path in _files(Path(parsed.path) if parsed.path else shipped())]
    database = engine.Database(conf.database.url)
    engine.check_schema(database)
    operation, enforcer = Operation(database, installation_key.audit(conf)), Enforcer(conf)
    manager = MetadefNamespaceManager(operation, enforcer, NamespaceAccess(operation, enforcer))
    for fields, content in found:
        done = manager.load(context.service_context(), fields, content, replace=parsed.replace)
        print(f"{fields.name}: {done}")
    operation.close()
    database.dispose()
    return 0


def shipped() -> Path:
    """The folder of the definitions that come with the service. Raises ConfigurationError."""
    source = Path(imagesvc.__file__).parent.parent / _SOURCE
    if source.is_dir():
        return source
    for file in importlib.metadata.files("imagesvc") or ():
        if file.parent.as_posix().endswith(_INSTALLED):
            return Path(str(file.locate())).parent.resolve()
    raise errors.ConfigurationError(
        "The definitions that ship are not installed; name a file or a folder."
    )


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    names = sorted(path.iterdir()) if path.is_dir() else []
    found = [one for one in names if one.suffix in _ENDINGS]
    if not found:
        raise errors.ConfigurationError(
            f"{path} is neither a definition nor a folder with files {', '.join(_ENDINGS)}."
        )
    yield from found


def _read(path: Path) -> _Namespace:
    """A file has the form of the body that makes a namespace, public unless it says otherwise."""
    try:
        body: Any = yaml.safe_load(path.read_bytes())
        # The same decoder as at the door: dates of YAML become text, NaN is refused.
        body = media.decode(json.dumps(body, default=str).encode())
        return metadef_body.namespace({"visibility": "public", **body})
    except (yaml.YAMLError, TypeError, errors.ImagesvcError) as error:  # told with its file
        raise errors.ConfigurationError(f"{path}: {error}".replace("\n", " ")) from error


def add_parsers(nouns: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the noun `metadef` with its verb."""
    verbs = nouns.add_parser("metadef").add_subparsers(metavar="VERB", required=True)
    verb = verbs.add_parser("load", help=load.__doc__, description=load.__doc__)
    verb.add_argument(
        "path", metavar="PATH", nargs="?", help="file or folder; default: those that ship"
    )
    verb.add_argument(
        "--replace", action="store_true", help="replace namespaces that are there, whole"
    )
    verb.set_defaults(act=load)
