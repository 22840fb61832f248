"""Getting the text of a YAML file: from a path, from standard input, from an http(s) URL."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from assembler.codes import config as codes
from assembler.diagnostics import Place, Source
from assembler.errors import ConfigError

# More than any hand or program writes, and little enough to be parsed within a second.
LARGEST = 1 << 19
STDIN = "-"
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


@dataclass(frozen=True)
class Input:
    """The bytes of one argument, and where relative names in it start from."""

    name: str
    content: bytes = field(repr=False)
    # None for what came by URL: no directory here is beside it.
    directory: Path | None = None

    @property
    def digest(self) -> str:
        """Return the sha256 of the content, for whoever asks whether it changed."""
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def source(self) -> Source:
        """Return the content as text, or say what it is instead."""
        return Source(self.name, _decode(self.name, self.content))


def is_url(argument: str) -> bool:
    """Tell whether the argument is fetched, and not opened."""
    return argument.lower().startswith(("http://", "https://"))


def read(argument: str) -> Input:
    """Read what the argument names: `-`, an http(s) URL, or a file."""
    if argument == STDIN:
        content = sys.stdin.buffer.read(LARGEST + 1)
        return Input("<stdin>", _bounded("<stdin>", content), Path())
    if is_url(argument):
        from assembler.config.fetching import fetch  # noqa: PLC0415 - requests is slow to import

        return Input(argument, fetch(argument, LARGEST))
    path = Path(argument)
    return Input(argument, _bounded(argument, _read_file(path, argument)), path.parent)


def _read_file(path: Path, name: str) -> bytes:
    try:
        # Not blocking, so that a pipe without a writer is refused instead of waited for.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            os.set_blocking(file.fileno(), True)
            return file.read(LARGEST + 1)
    except IsADirectoryError as error:
        raise _is_a_directory(path, name) from error
    except FileNotFoundError as error:
        raise _not_there(path, name) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError.of(
            codes.UNREADABLE,
            f"cannot read {name}: {reason[:1].lower()}{reason[1:]}",
            place=_whole(name),
        ) from error


def _is_a_directory(path: Path, name: str) -> ConfigError:
    inside = sorted(p for p in path.glob("*.y*ml"))[:5] if os.access(path, os.R_OK) else []
    hint = "name the YAML file in it" + (
        ": " + ", ".join(str(p) for p in inside) if inside else "; there is none"
    )
    return ConfigError.of(codes.IS_A_DIRECTORY, f"{name} is a directory", hint, place=_whole(name))


def _not_there(path: Path, name: str) -> ConfigError:
    import difflib  # noqa: PLC0415 - only where something is missing

    if path.is_symlink():
        message = f"{name} is a link that leads nowhere"
        target = f"it leads to {path.readlink()}, which is not there"
        return ConfigError.of(codes.NOT_THERE, message, target, place=_whole(name))
    hints = []
    if not name:
        hints.append("the name is empty")
    elif path.parent.is_dir():
        beside = [p.name for p in path.parent.iterdir() if p.suffix in (".yml", ".yaml", ".json")]
        close = difflib.get_close_matches(path.name, beside, 1)
        if close:
            hints.append(f"did you mean {path.parent / close[0]}?")
    else:
        hints.append(f"there is no directory {path.parent}")
    return ConfigError.of(codes.NOT_THERE, f"there is no file {name}", *hints, place=_whole(name))


def _bounded(name: str, content: bytes) -> bytes:
    if len(content) > LARGEST:
        raise too_large(name)
    return content


def too_large(name: str) -> ConfigError:
    """Say that a text is larger than is read."""
    source = Source(name, "")
    return ConfigError.of(
        codes.TOO_LARGE,
        f"larger than {LARGEST >> 10} KiB, which is more than is read",
        "keep large contents in files of their own, and name them with `source:`",
        place=Place(source),
    )


def _decode(name: str, content: bytes) -> str:
    encoding = "utf-8"
    for mark, marked in _BOMS:
        if content.startswith(mark):
            content, encoding = content[len(mark) :], marked
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, "replace")
        if "\0" in content[:4096].decode("latin-1") and encoding == "utf-8":
            raise ConfigError.of(
                codes.NOT_TEXT, "this is a binary file, not YAML", place=Place(Source(name, ""))
            ) from error
        shown = Source(name, content.decode(encoding, "replace"))
        line, column = position(before, len(before))
        raise ConfigError.of(
            codes.NOT_TEXT,
            f"not text in UTF-8: byte 0x{content[error.start]:02x}",
            "save the file as UTF-8",
            place=Place(shown, line, column),
        ) from error


def position(text: str, index: int) -> tuple[int, int]:
    """Return line and column, counted from 1, of a character of the text."""
    before = text[:index].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _whole(name: str) -> Place:
    return Place(Source(name, ""))
