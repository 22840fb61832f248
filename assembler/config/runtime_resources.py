"""The section `resources`, converted to the keys of the OCI runtime specification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# A page size below this number is in MB, any other in bytes.
_MIN_BYTES = 65536
_UNITS = ((30, "GB"), (20, "MB"), (10, "KB"))


def to_runtime_spec(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Return resources with LinuxKit's spellings replaced by those of the specification."""
    converted = {
        "blockIO" if key == "blockio" else key: _copy(value) for key, value in resources.items()
    }
    if "hugepageLimits" in converted:
        converted["hugepageLimits"] = [
            {**limit, "pageSize": format_page_size(limit["pageSize"])}
            if "pageSize" in limit
            else limit
            for limit in converted["hugepageLimits"]
        ]
    return converted


def format_page_size(size: int | str) -> str:
    """Return a page size in the kernel's notation, such as `2MB`."""
    if isinstance(size, str):
        return size
    count = size if size >= _MIN_BYTES else size << 20
    for shift, unit in _UNITS:
        if count % (1 << shift) == 0:
            return f"{count >> shift}{unit}"
    return f"{count >> 10}KB"


def _copy(value: Any) -> Any:  # noqa: ANN401 - any piece of YAML
    if isinstance(value, dict):
        return {k: _copy(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_copy(v) for v in value]
    return value
