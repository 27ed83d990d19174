"""Store -> Glance JSON."""

from collections.abc import Mapping
from typing import Any

from imagesvc.backend.store import Store

# Our option of a driver -> the name that Glance shows it by.
_PROPERTIES = {"file": {"directory": "data_dir"}}


def render(store: Store) -> dict[str, Any]:
    """What every caller sees; flags are words, and absent when they do not hold."""
    view: dict[str, Any] = {"id": store.id}
    if store.description:
        view["description"] = store.description
    if store.default:
        view["default"] = "true"
    if store.read_only:
        view["read-only"] = "true"
    return view


def render_detail(store: Store, options: Mapping[str, Any]) -> dict[str, Any]:
    """The same with type, weight and the driver's properties."""
    names = _PROPERTIES.get(store.driver, {})
    properties = {names.get(name, name): value for name, value in options.items()}
    return {
        **render(store), "type": store.driver, "weight": store.weight, "properties": properties,
    }  # fmt: skip
