"""The input of the config stage: the bytes of a file, of standard input or of an http(s) URL."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from assembler.codes import config as codes
from assembler.config.urls import is_url, printable_name
from assembler.diagnostics import Place, SourceText
from assembler.errors import ConfigError

# More than any hand-written or generated file needs, and parsed within a second.
MAX_SIZE = 1 << 19
STDIN = "-"
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_MAX_SUGGESTIONS = 5


@dataclass(frozen=True)
class ConfigInput:
    """The content of one argument, and the directory that its relative paths start from."""

    name: str
    content: bytes = field(repr=False)
    # None for a URL: no local directory belongs to it.
    directory: Path | None = None
    # The URL that sources are relative to, with its user and password; they are not in the name.
    url: str = field(default="", repr=False)

    @property
    def digest(self) -> str:
        """Return the sha256 of the content, which tells whether the content has changed."""
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def source(self) -> SourceText:
        """Return the content as text; raise ConfigError if it is not text."""
        return SourceText(self.name, _decode(self.name, self.content))


def read_input(argument: str) -> ConfigInput:
    """Read the argument: `-` for standard input, an http(s) URL, or the path of a file."""
    if argument == STDIN:
        content = sys.stdin.buffer.read(MAX_SIZE + 1)
        return ConfigInput("<stdin>", _check_size("<stdin>", content), Path())
    if is_url(argument):
        from assembler.config.download import download  # noqa: PLC0415 - requests is slow to import

        name = printable_name(argument)
        return ConfigInput(name, _check_size(name, download(argument, MAX_SIZE)), url=argument)
    path = Path(argument)
    content = _check_size(argument, _read_file(path, argument))
    return ConfigInput(argument, content, path.parent)


def _read_file(path: Path, name: str) -> bytes:
    try:
        # Non-blocking, so that opening a pipe without a writer fails instead of waiting.
        # An empty name is no name of the current directory.
        fd = os.open(path if name else "", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            os.set_blocking(file.fileno(), True)
            return file.read(MAX_SIZE + 1)
    except IsADirectoryError as error:
        raise _directory_error(path, name) from error
    except FileNotFoundError as error:
        raise _not_found_error(path, name) from error
    except (OSError, ValueError) as error:
        # Python's text for such a name differs from version to version.
        null = "a name cannot contain a null character" if "\0" in name else ""
        reason = null or getattr(error, "strerror", None) or str(error)
        raise ConfigError.of(
            codes.UNREADABLE,
            f"cannot read {name}: {reason[:1].lower()}{reason[1:]}",
            place=_file_place(name),
        ) from error


def _directory_error(path: Path, name: str) -> ConfigError:
    readable = os.access(path, os.R_OK)
    files = sorted(path.glob("*.y*ml"))[:_MAX_SUGGESTIONS] if readable else []
    listed = ": " + ", ".join(map(str, files)) if files else "; it has none"
    return ConfigError.of(
        codes.IS_A_DIRECTORY,
        f"{name} is a directory",
        f"name the YAML file in it{listed}",
        place=_file_place(name),
    )


def _not_found_error(path: Path, name: str) -> ConfigError:
    from assembler.spelling import nearest_words  # noqa: PLC0415 - only a missing file needs it

    place = _file_place(name)
    if path.is_symlink():
        message = f"{name} is a dangling symbolic link"
        hint = f"its target {path.readlink()} does not exist"
        return ConfigError.of(codes.FILE_NOT_FOUND, message, hint, place=place)
    hints = []
    if not name:
        hints.append("the name is empty")
    elif path.parent.is_dir():
        names = [p.name for p in path.parent.iterdir() if p.suffix in (".yml", ".yaml", ".json")]
        matches = nearest_words(path.name, names, 1)
        if matches:
            hints.append(f"did you mean {path.parent / matches[0]}?")
    else:
        hints.append(f"there is no directory {path.parent}")
    return ConfigError.of(codes.FILE_NOT_FOUND, f"there is no file {name}", *hints, place=place)


def _check_size(name: str, content: bytes) -> bytes:
    if len(content) > MAX_SIZE:
        raise ConfigError.of(
            codes.TOO_LARGE,
            f"larger than {MAX_SIZE >> 10} KiB, the limit for a YAML file",
            "keep large contents in files of their own, and name them with `source:`",
            place=_file_place(name),
        )
    return content


def _decode(name: str, content: bytes) -> str:
    encoding = "utf-8"
    for bom, bom_encoding in _BOMS:
        if content.startswith(bom):
            content, encoding = content[len(bom) :], bom_encoding
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, "replace")
        if "\0" in content[:4096].decode("latin-1") and encoding == "utf-8":
            raise ConfigError.of(
                codes.NOT_TEXT, "this is a binary file, not YAML", place=_file_place(name)
            ) from error
        readable = SourceText(name, content.decode(encoding, "replace"))
        line, column = line_and_column(before, len(before))
        raise ConfigError.of(
            codes.NOT_TEXT,
            f"not text in UTF-8: byte 0x{content[error.start]:02x}",
            "save the file as UTF-8",
            place=Place(readable, line, column),
        ) from error


def line_and_column(text: str, index: int) -> tuple[int, int]:
    """Return line and column, counted from 1, of the character at `index`."""
    before = text[:index].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _file_place(name: str) -> Place:
    return Place(SourceText(name, ""))
