"""Global options in any position: `dolmen build --cache X` is `dolmen --cache X build`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_VALUE_OPTIONS = {"--cache", "--color", "--mirror", "--cert-file"}
_FLAG_OPTIONS = {"-q", "--quiet", "--verbose"}
# Older scripts for LinuxKit use long options with a single dash.
_SINGLE_DASH = frozenset(
    (
        *("-arch", "-decompress-kernel", "-dir", "-docker", "-format", "-name", "-output"),
        *("-pull", "-size"),
        *("-accel", "-cpus", "-data", "-data-file", "-detached", "-device", "-disk", "-fw"),
        *("-gui", "-iso", "-kernel", "-mem", "-networking", "-publish", "-qemu", "-squashfs"),
        *("-state", "-uefi", "-usb"),
    )
)

# Boolean options in Go's syntax, `--manifest=false`; the default of the others is false.
_BOOLEAN_OPTIONS = frozenset(
    (
        *("--builder-restart", "--dev", "--disable-cache", "--docker", "--dry-run"),
        *("--enable-cache", "--force", "--force-dirty", "--manifest", "--network", "--nobuild"),
        *("--nonetwork", "--precache-images", "--pull", "--push"),
    )
)
_NEGATIONS = {"--manifest": "--no-manifest"}


def hoist_global_options(arguments: Sequence[str]) -> list[str]:
    """Move global options before the command; LinuxKit's `-v 2` becomes `-vv`."""
    front: list[str] = []
    rest: list[str] = []
    remaining = list(arguments)
    while remaining:
        word = remaining.pop(0)
        if word.partition("=")[0] in _SINGLE_DASH:
            word = f"-{word}"
        name, equals, value = word.partition("=")
        if equals and name in _BOOLEAN_OPTIONS and value in ("true", "false"):
            if value == "true":
                rest.append(name)
            elif name in _NEGATIONS:
                rest.append(_NEGATIONS[name])
            continue
        if word == "--":
            rest += [word, *remaining]
            break
        if word in _VALUE_OPTIONS:
            front += [word, *remaining[:1]]
            remaining = remaining[1:]
        elif word in _FLAG_OPTIONS or word.split("=")[0] in _VALUE_OPTIONS:
            front.append(word)
        elif word == "-v" and remaining and remaining[0] in ("0", "1", "2", "3"):
            front += ["-v"] * int(remaining.pop(0))
        elif word.startswith("-v") and set(word[1:]) == {"v"}:
            front.append(word)
        else:
            rest.append(word)
    return front + rest
