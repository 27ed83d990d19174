"""Log lines of the service's processes: their form, where they go, and that they hold no secret."""

import json
import logging
import logging.handlers
import re
import sys
import time
from typing import Any

from oslo_config import cfg

from imagesvc import context

MASK = "***"

_WORDS = (
    "password", "passwd", "secret", "token", "signature", "credential", "secret_key",
    "access_key", "private_key", "api_key", "user_data",
)  # fmt: skip
_HEADERS = ("authorization", "cookie")
_HIDDEN = rf"[\w-]*(?:{'|'.join(_WORDS)})"
_VALUE = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;&"'})\]]+)"""
_SECRETS = (
    # Headers that hold nothing else, up to the end of the line or of the string.
    (re.compile(r"""(?i)\b((?:proxy-)?authorization|cookie)(["']?\s*[:=]\s*["']?)[^"'\r\n]+"""),
     rf"\1\2{MASK}"),
    # JSON inside of a string, then JSON, repr, headers, queries and assignments.
    (re.compile(rf"""(?i)\b({_HIDDEN})(\\["']\s*:\s*\\["'])(?:(?!\\["']).)+"""),
     rf"\1\2{MASK}"),
    (re.compile(rf"""(?i)\b({_HIDDEN})(["']?\s*[:=]\s*){_VALUE}"""), rf"\1\2{MASK}"),
    (re.compile(r"://([^\s/:@]*):[^\s/@]+@"), rf"://\1:{MASK}@"),
    (re.compile(r"\bgAAAA[\w=-]{20,}"), MASK),
)  # fmt: skip
# Without one of these no pattern can match; a look for them costs a tenth of the patterns.
_HINTS = (*_WORDS, *_HEADERS, "://", "gaaaa")
_IS_SECRET = re.compile(rf"(?i){_HIDDEN}|(?:proxy-)?authorization|cookie")
_FACT = re.compile(r"(?:(\w+)=)?%[-+ #0-9.]*([a-zA-Z%])")


def set_up(conf: cfg.ConfigOpts) -> None:
    """Send the log of this process where the configuration says; safe to repeat."""
    handler: logging.Handler
    if conf.log.file:
        handler = logging.handlers.WatchedFileHandler(conf.log.file, encoding="utf-8")
    else:
        handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if conf.log.format == "json" else TextFormatter())
    logging.basicConfig(level=conf.log.level, handlers=[handler], force=True)
    server = logging.getLogger("gunicorn.error")
    server.handlers.clear()
    server.propagate = True


def mask(text: str) -> str:
    """The text without what looks like a secret: by its name, as a header, in a URL."""
    lower = text.lower()
    if not any(hint in lower for hint in _HINTS):
        return text
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


class TextFormatter(logging.Formatter):
    """time process level logger [request id] message; traces follow."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(process)d %(levelname)s %(name)s %(request)s%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the lines of a trace."""
        known = context.current_request_id.get()
        record.request = f"[{known}] " if known else ""
        return mask(super().format(record))


class JsonFormatter(logging.Formatter):
    """time, level, logger, process, message, request_id, facts, trace."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        found: dict[str, Any] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": mask(record.getMessage()),
        }
        if known := context.current_request_id.get():
            found["request_id"] = known
        if facts := _facts(record):
            found["facts"] = facts
        if record.exc_info:
            found["trace"] = mask(self.formatException(record.exc_info))
        return json.dumps(found, ensure_ascii=False)


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    """The key=%s of the template with their values; numbers stay numbers."""
    if not isinstance(record.args, tuple) or not isinstance(record.msg, str):
        return {}
    values = iter(record.args)
    facts: dict[str, Any] = {}
    for name, conversion in _FACT.findall(record.msg):
        if conversion == "%":
            continue
        value = next(values, None)
        if name:
            facts[name] = _fact(name, value)
    return facts


def _fact(name: str, value: object) -> object:
    if _IS_SECRET.fullmatch(name):
        return MASK
    if isinstance(value, float):
        return round(value, 3)
    return value if value is None or isinstance(value, int) else mask(str(value))
