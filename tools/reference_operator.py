"""Reference pages of the operator: options, permissions, capabilities, commands."""

import importlib
import importlib.metadata
import sys
from collections.abc import Iterator
from typing import Any

import reference_rst
from oslo_config import cfg

from imagesvc import opts
from imagesvc.backend import config, kind, loader
from imagesvc.cmd import manage, status
from imagesvc.interface import base
from imagesvc.policy import rule

CAPABILITY = {
    "storage": {
        "resumable-write": "``resume_write``: a broken writing goes on where it was",
        "server-side-copy": "``copy``: an object is copied inside the store",
        "presigned-url": "``presign``: clients read or write the store by a short-lived URL",
        "local-file": "``path``: objects are files here; sent by sendfile, hard-linked by compute",
        "copies": "``open_copy``: keeps several copies of each object, which scrub tells apart",
    },
    "compute": {
        "consistent-group": "``start_group_snapshot``: all disks of a server at one instant",
        "quiesce": "``start_snapshot(quiesce=True)``: file systems are frozen inside the guest",
        "empty-disk": "``start_create`` with ``empty_disks``: data disks without content",
        "data-disk": "``start_create`` with several images: data disks with content",
        "snapshot-image": "``snapshot_image``: snapshots are images of the image service, and are "
        "taken over where that is this service",
        "console-write": "``write_console``: the serial console takes input",
        "attach": "``attach_volume``, ``detach_volume``",
        "rebuild": "``start_rebuild``: a new system disk, data disks kept",
    },
    "volume": {
        "snapshot": "``start_snapshot``: a volume is read as it is at one instant",
        "snapshot-image": "``snapshot_image``: snapshots are images of the image service, and are "
        "taken over where that is this service",
    },
    "backup": {
        "sees-servers": "``start_create``: the service copies a server by itself",
        "takes-disks": "``prepare``, ``open_write``, ``finish``: workers hand the disks over",
        "restore": "``start_restore``: the service makes servers of backups",
        "local-file": "``path``: disks are files here; hard-linked by compute",
        "incremental": "a backup holds only what changed since the one before",
    },
    "baremetal": {
        "capture": "``start_snapshot``: the disk of a node is read",
    },
    "encryption": {
        "list-keys": "``list_keys``: the keys of a project are found",
        "create-key": "``create_key``: the service makes keys for projects",
        "disable-key": "``set_key_enabled``: a key opens nothing for a while",
        "rotate-key": "``rotate_key``: new versions of a key, old ones still open",
        "rewrap-version": "``rewrap``: data keys move to the newest version, unseen by the service",
        "reencrypt": "``reencrypt``: data keys move to another key inside the KMS",
    },
    "identity": {
        "lookup": "``find_project``: a project by name or id",
        "access-keys": "``access_key``: the secret of an access key, for signed requests",
        "catalog": "``endpoint``: services of other regions are found",
        "login": "``login``, ``revoke``: the service itself answers below ``/v3``",
    },
    "audit_sink": {
        "at-least-once": "a batch that was killed half-way may be seen twice there",
    },
    "converter": {
        "convert": "``convert``: from one disk format to another",
        "guest-facts": "``facts``: system, version, architecture and firmware of a guest",
        "raw-stream": "``open_raw``: a disk's bytes in order, without a file",
        "variants": "``variants``, ``measure``: kinds of a target format, and the room they take",
    },
}

# Values of options without a default, so that a driver can be made and asked what it can.
SAMPLE = {
    "endpoint": "http://nowhere",
    "url": "https://imagesvc.example/",
    "auth_url": "https://identity.example/v3",
    "username": "imagesvc",
    "bucket": "images",
    "region": "eu-central-1",
}


def option_page() -> str:
    """docs/operator/option.rst"""
    parts = [
        reference_rst.titled("Options", "="),
        "Of ``imagesvc.conf``, by section. ``etc/imagesvc/imagesvc.conf.sample`` has them all, "
        "commented out.\nA backend's section is named after its kind and id; ``local`` below is "
        "the id that a fresh\ninstallation has.\n",
    ]
    for group, options in opts.list_opts():
        rows = [
            (
                reference_rst.code(one.dest),
                _kind(one),
                reference_rst.code(_default(one)),
                reference_rst.plain(one.help or ""),
            )
            for one in options
        ]
        parts += [
            reference_rst.titled(f"[{group}]", "-"),
            reference_rst.table(("option", "type", "default", "meaning"), rows, "20 12 20 48"),
        ]
    return "\n".join(parts)


def _kind(option: cfg.Opt) -> str:
    shown = option.type.__class__.__name__.lower()
    if choices := getattr(option.type, "choices", None):
        return "one of " + ", ".join(reference_rst.code(choice) for choice in choices)
    low, high = getattr(option.type, "min", None), getattr(option.type, "max", None)
    bounds = [
        f"{word} {_number(value)}"
        for word, value in (("from", low), ("to", high))
        if value is not None
    ]
    return " ".join([shown, *bounds, *(["secret"] if option.secret else [])])


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"


def _default(option: cfg.Opt) -> str:
    if isinstance(option.default, list):
        return ", ".join(map(str, option.default))
    return "" if option.default is None else str(option.default)


def policy_page() -> str:
    """docs/operator/policy.rst"""
    rows = [
        (
            reference_rst.code(one.name),
            reference_rst.code(one.check_str),
            reference_rst.plain(one.description),
        )
        for one in rule.list_rules()
    ]
    return "\n".join(
        (
            reference_rst.titled("Permissions", "="),
            "Who may do what. An action has the same name in the audit trail. To change one, write "
            "it into\n``policy.yaml`` in oslo.policy's language; "
            "``etc/imagesvc/policy.yaml.sample`` has them all. What a\ncaller does not see is not "
            "found, whatever the rule says.\n",
            "The file lies beside ``imagesvc.conf``, or in ``/etc/imagesvc``; a change holds within a "
            "second, without a\nrestart. ``admin`` has the rights of ``manager``, that one those of "
            "``member``, and that those of\n``reader``. To let managers publish, for instance::\n\n"
            '    "image:publicize": "role:admin or (role:manager and project_id:%(owner)s)"\n',
            reference_rst.table(("action", "who", "what it allows"), rows, "25 40 35"),
        )
    )


def capability_page() -> str:
    """docs/operator/capability.rst"""
    parts = [
        reference_rst.titled("Capabilities", "="),
        "What a driver may offer beyond what every driver of its kind does, and which of the "
        "drivers that\ncome with imagesvc offer it. A driver names its own in ``info()``; "
        "``imagesvc-manage backend list``\nshows those of the configured backends.\n",
    ]
    for one in kind.KINDS:
        parts.append(reference_rst.titled(one.name, "-"))
        offered = dict(_drivers(one))
        words = CAPABILITY.get(one.name, {})
        rows = [
            (
                reference_rst.code(item),
                words[str(item)],
                ", ".join(reference_rst.code(name) for name, can in offered.items() if item in can),
            )
            for item in _capabilities(one)
        ]
        parts.append(f"Drivers: {', '.join(map(reference_rst.code, offered))}.\n")
        if rows:
            heads = ("capability", "what it is", "offered by")
            parts.append(reference_rst.table(heads, rows, "20 55 25"))
        else:
            parts.append("No capability is defined.\n")
    return "\n".join(parts)


def _capabilities(one: kind.Kind) -> list[base.Capability]:
    module = sys.modules[one.contract.__module__]
    return [
        item
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, base.Capability)
        for item in found
    ]


def _drivers(one: kind.Kind) -> Iterator[tuple[str, frozenset[base.Capability]]]:
    points = importlib.metadata.entry_points(group=one.group)
    names = sorted(point.name for point in points if point.module.startswith("imagesvc_drivers."))
    for name, found in loader.load(one, names).items():
        driver = found.driver_class
        values = {option.dest: _sample(option) for option in driver.OPTS}
        made = driver(config.Options(**values), backend_id="local")
        yield name, made.info().capabilities


def _sample(option: cfg.Opt) -> Any:
    if isinstance(option.default, str) and "$" in option.default:
        return "/nowhere"
    if option.default is not None:
        return option.default
    return SAMPLE.get(option.dest, "x" * 32 if option.secret else None)


def command_page() -> str:
    """docs/operator/command.rst"""
    scripts = sorted(
        point
        for point in importlib.metadata.entry_points(group="console_scripts")
        if point.module.startswith("imagesvc.")
    )
    rows = [
        (
            reference_rst.code(point.name),
            reference_rst.plain(_after_colon(importlib.import_module(point.module))),
        )
        for point in scripts
    ]
    parts = [
        reference_rst.titled("Commands", "="),
        reference_rst.table(("command", "what it is"), rows, "25 75"),
    ]
    for prog, parser in ((manage.PROG, manage._parser()), (status.PROG, status._parser())):
        lines = [(reference_rst.code(" ".join(words)), text) for words, text in _verbs(parser, ())]
        parts += [
            reference_rst.titled(prog, "-"),
            reference_rst.table(("command", "what it does"), lines, "40 60"),
        ]
    points = importlib.metadata.entry_points(group="imagesvc.shell")
    lines = [
        (reference_rst.code(point.name.replace("_", " ")), reference_rst.first_line(point.load()))
        for point in sorted(points)
    ]
    parts += [
        reference_rst.titled("imagesvc", "-"),
        "Options of each: ``imagesvc COMMAND --help``.\n",
    ]
    parts.append(reference_rst.table(("command", "what it does"), lines, "40 60"))
    return "\n".join(parts)


def _after_colon(module: Any) -> str:
    text = (module.__doc__ or "").partition("\n")[0].partition(": ")[2]
    return text[:1].upper() + text[1:]


def _verbs(parser: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    below = [action.choices for action in parser._actions if hasattr(action, "_name_parser_map")]
    if not below:
        given = [_argument(action) for action in parser._actions if action.dest != "help"]
        yield (*words, *given), reference_rst.plain((parser.description or "").partition("\n")[0])
    for choices in below:
        for name, child in choices.items():
            yield from _verbs(child, (*words, name))


def _argument(action: Any) -> str:
    shown = action.metavar or action.dest.upper()
    if action.option_strings:
        shown = (
            f"{action.option_strings[-1]} {shown}"
            if action.nargs != 0
            else action.option_strings[-1]
        )
    return f"[{shown}]" if action.option_strings or action.nargs == "?" else shown
