"""Global options in any position: `dolmen build --cache X` is `dolmen --cache X build`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dolmen.switch_values import FALSE, TRUE

if TYPE_CHECKING:
    from collections.abc import Sequence

_VALUE_OPTIONS = {"--cache", "--color", "--mirror", "--cert-file"}
_FLAG_OPTIONS = {"-q", "--quiet"}
# Older scripts for LinuxKit use long options with a single dash.
_SINGLE_DASH = frozenset(
    (
        *(
            "-arch",
            "-cache",
            "-decompress-kernel",
            "-dir",
            "-docker",
            "-format",
            "-name",
            "-output",
        ),
        *("-pull", "-size"),
        *("-accel", "-cpus", "-data", "-data-file", "-detached", "-device", "-disk", "-fw"),
        *("-gui", "-iso", "-kernel", "-mem", "-networking", "-publish", "-qemu", "-squashfs"),
        *("-state", "-uefi", "-usb"),
    )
)
# Those of the groups of commands, which had Go's flags, too.
_SINGLE_DASH_OF = {
    "pkg": frozenset(
        (
            *("-build-yml", "-builder-config", "-builder-image", "-builder-restart", "-builders"),
            *("-canonical", "-dev", "-disable-cache", "-enable-cache", "-force", "-force-dirty"),
            *("-hash", "-hash-commit", "-hash-path", "-manifest", "-network", "-nobuild"),
            *("-nonetwork", "-org", "-platforms", "-push", "-release", "-skip-platforms", "-tag"),
        )
    ),
    "cache": frozenset(("-outfile", "-published-only", "-remote-name")),
    "serve": frozenset(("-directory", "-port")),
}
_LEVELS = ("0", "1", "2", "3")


def hoist_global_options(arguments: Sequence[str]) -> list[str]:
    """Move global options before the command.

    LinuxKit's `-v 2` becomes `-v -v`, and `help X` becomes `X --help`.
    """
    front: list[str] = []
    rest: list[str] = []
    remaining = list(arguments)
    while remaining:
        word = remaining.pop(0)
        if rest[:1] == ["ssh"] and len(rest) > 1:
            # The command that runs in the guest.
            rest += [word, *remaining]
            break
        plain = word.partition("=")[0]
        if plain in _SINGLE_DASH or plain in _SINGLE_DASH_OF.get("".join(rest[:1]), ()):
            word = f"-{word}"
        name, _, value = word.partition("=")
        if word == "--":
            rest += [word, *remaining]
            break
        if word in _VALUE_OPTIONS:
            front += [word, *remaining[:1]]
            remaining = remaining[1:]
        elif (level := _verbosity(word, remaining)) is not None:
            front += ["-v"] * level
        elif name in _FLAG_OPTIONS and value in FALSE:
            front = [w for w in front if w not in _FLAG_OPTIONS]
        elif name in _FLAG_OPTIONS and value in TRUE:
            front.append(name)
        elif name in _FLAG_OPTIONS or name in _VALUE_OPTIONS:
            front.append(word)
        else:
            rest.append(word)
    if rest[:1] == ["help"]:
        rest = [*rest[1:], "--help"]
    return front + rest


def _verbosity(word: str, remaining: list[str]) -> int | None:
    """Return the level of `-vv`, or of LinuxKit's `-v 2`, `-v2` and `-v=2`; None for others."""
    name, equals, value = word.partition("=")
    if name in ("-v", "--verbose"):
        if not equals:
            return int(remaining.pop(0)) if remaining and remaining[0] in _LEVELS else 1
        if value in _LEVELS:
            return int(value)
        return 1 if value in TRUE else 0 if value in FALSE else None
    if word[:2] == "-v" and word[2:] in _LEVELS:
        return int(word[2:])
    return len(word) - 1 if word[:2] == "-v" and set(word[1:]) == {"v"} else None
