"""Write a commented YAML file to start from."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import usage
from assembler.errors import UsageError, wrap_os_errors
from assembler.files import atomic_write
from assembler.scaffold.editor_schema import schema_reference, write_editor_schema
from assembler.scaffold.template_list import DEFAULT_TEMPLATE, find_template

if TYPE_CHECKING:
    from collections.abc import Iterable

_FOLDER = Path(__file__).resolve().parent / "templates"
# In the order in which ssh tries them.
_KEYS = (
    *("id_rsa.pub", "id_ecdsa.pub", "id_ecdsa_sk.pub"),
    *("id_ed25519.pub", "id_ed25519_sk.pub"),
)
DEFAULT_FILE = Path("image.yml")
_DEFAULT_KEY = "id_ed25519.pub"


@dataclass(frozen=True, slots=True)
class NewFile:
    """A YAML file that has been written, and its text."""

    path: Path
    text: str


def render_template(template: str = DEFAULT_TEMPLATE, path: Path = DEFAULT_FILE) -> str:
    """Return the text of a new file at a path."""
    found = find_template(template)
    text = (_FOLDER / f"{found.name}.yml").read_text("utf-8")
    values = {
        "{schema}": schema_reference("image", path.parent),
        "{run}": shlex.join(found.run_command(path.name)),
        "{key}": _public_key(),
    }
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return text


def write_new_file(
    path: Path, template: str = DEFAULT_TEMPLATE, *, replace: bool = False
) -> NewFile:
    """Write a new file; an existing one is replaced only with `replace`."""
    text = render_template(template, path)
    write_files({path: text}, replace=replace)
    write_editor_schema("image", path.parent)
    return NewFile(path, text)


def write_files(texts: dict[Path, str], *, replace: bool = False) -> None:
    """Write new files, or none if one of them exists and `replace` is not set."""
    check_new(texts, replace=replace)
    for path, text in texts.items():
        with atomic_write(path) as output:
            output.write(text.encode())


def check_new(paths: Iterable[Path], *, replace: bool = False) -> None:
    """Check that new files can be written; existing ones only with `replace`."""
    for path in paths:
        if path.is_dir() or (os.path.lexists(path) and not replace):
            state = "is a directory" if path.is_dir() else "already exists"
            hint = "give another name" if path.is_dir() else "--force replaces it"
            raise UsageError.of(usage.BAD_OPTION, f"{path} {state}", hint)
        with wrap_os_errors(path):
            if not path.parent.is_dir():
                raise FileNotFoundError(2, f"there is no directory {path.parent}", str(path))


def _public_key() -> str:
    """Return the name of the user's public key in ~/.ssh, or of the usual one."""
    folder = Path("~/.ssh").expanduser()
    # Not `is_file`, which raises an error for a directory that may not be read.
    found = (name for name in (_DEFAULT_KEY, *_KEYS) if os.path.isfile(folder / name))  # noqa: PTH113
    return next(found, _DEFAULT_KEY)
