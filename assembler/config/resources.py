"""Resources as the OCI runtime specification spells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# No page is smaller as a number of bytes, and none larger as a number of MB.
_BYTES_FROM = 65536
_UNITS = ((30, "GB"), (20, "MB"), (10, "KB"))


def as_runtime_spec(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return resources with LinuxKit's spellings replaced by those of the specification."""
    made = {"blockIO" if key == "blockio" else key: _kept(value) for key, value in given.items()}
    if "hugepageLimits" in made:
        made["hugepageLimits"] = [
            {**limit, "pageSize": page_size(limit["pageSize"])} if "pageSize" in limit else limit
            for limit in made["hugepageLimits"]
        ]
    return made


def page_size(size: int | str) -> str:
    """Return the size of a page as the kernel names it: `2MB`."""
    if isinstance(size, str):
        return size
    count = size if size >= _BYTES_FROM else size << 20
    for shift, unit in _UNITS:
        if count % (1 << shift) == 0:
            return f"{count >> shift}{unit}"
    return f"{count >> 10}KB"


def _kept(value: Any) -> Any:  # noqa: ANN401 - any piece of YAML
    if isinstance(value, dict):
        return {k: _kept(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_kept(v) for v in value]
    return value
