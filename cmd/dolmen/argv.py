"""Global options wherever they stand: `dolmen build --cache X` is `dolmen --cache X build`."""

from __future__ import annotations

from collections.abc import Sequence

_WITH_VALUE = {"--cache", "--color", "--mirror", "--cert-file"}
_FLAGS = {"-q", "--quiet", "--verbose"}
# LinuxKit's older scripts write long options with one dash.
_ONE_DASH = frozenset(
    (
        *("-arch", "-decompress-kernel", "-dir", "-docker", "-format", "-name", "-output"),
        *("-pull", "-size"),
        *("-accel", "-cpus", "-data", "-data-file", "-detached", "-device", "-disk", "-fw"),
        *("-gui", "-iso", "-kernel", "-mem", "-networking", "-publish", "-qemu", "-squashfs"),
        *("-state", "-uefi", "-usb"),
    )
)

# Switches as Go's flags have them: `--manifest=false`. Off is how all others are anyway.
_SWITCHES = frozenset(
    (
        *("--builder-restart", "--dev", "--disable-cache", "--docker", "--dry-run"),
        *("--enable-cache", "--force", "--force-dirty", "--manifest", "--network", "--nobuild"),
        *("--nonetwork", "--precache-images", "--pull", "--push"),
    )
)
_ON_UNLESS_OFF = {"--manifest": "--no-manifest"}


def hoist(arguments: Sequence[str]) -> list[str]:
    """Move global options in front of the command, and read LinuxKit's `-v 2` as `-vv`."""
    front: list[str] = []
    rest: list[str] = []
    todo = list(arguments)
    while todo:
        word = todo.pop(0)
        if word.partition("=")[0] in _ONE_DASH:
            word = f"-{word}"
        name, equals, value = word.partition("=")
        if equals and name in _SWITCHES and value in ("true", "false"):
            if value == "true":
                rest.append(name)
            elif name in _ON_UNLESS_OFF:
                rest.append(_ON_UNLESS_OFF[name])
            continue
        if word == "--":
            rest += [word, *todo]
            break
        if word in _WITH_VALUE:
            front += [word, *todo[:1]]
            todo = todo[1:]
        elif word in _FLAGS or word.split("=")[0] in _WITH_VALUE:
            front.append(word)
        elif word == "-v" and todo and todo[0] in ("0", "1", "2", "3"):
            front += ["-v"] * int(todo.pop(0))
        elif word.startswith("-v") and set(word[1:]) == {"v"}:
            front.append(word)
        else:
            rest.append(word)
    return front + rest
