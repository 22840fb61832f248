"""A user makes mistakes in the options of `dolmen run qemu`, and gets errors before the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((), 2, "no image to run"),
        (("a", "b"), 2, "only one image"),
        (("a.yml", "b"), 2, "cannot be run together"),
        (("x", "--cpus", "0"), 2, "at least 1"),
        (("x", "--mem", "lots"), 2, "not a size"),
        (("x", "--publish", "80"), 2, "HOST:GUEST"),
        (("x", "--publish", "80:80", "--networking", "none"), 2, "does not work with"),
        (("x", "--networking", "carrier-pigeon"), 2, "choose user, none"),
        (("x", "--networking", "bridge,a,b"), 2, "write it as user, none"),
        (("x", "--networking", "tap,a,b"), 2, "write it as user, none"),
        (("x", "--networking", "tap,much-too-long-name"), 2, "is not a valid name"),
        (("x", "--networking", "none,x"), 2, "write it as"),
        (("x", "--disk", "size=big"), 2, "not a size"),
        (("x", "--accel", "magic"), 1, "unknown accelerator 'magic'"),
        (("x", "--arch", "vax"), 2, "is not supported"),
        (("x", "--wait-for", "("), 2, "regular expression"),
        (("x", "--wait-port", "80"), 2, "not published"),
        (("x", "--timeout", "soon"), 2, "invalid duration"),
        (("x", "--data", "a", "--data-file", "b"), 2, "exclude each other"),
        (("x", "--iso", "--kernel"), 2, "exclude each other"),
        (("x", "--keys", "a", "--secure-boot-keys", "b"), 2, "exclude each other"),
        (("nothing-here",), 1, "nothing-here is not a bootable image"),
        (("missing.yml",), 1, "missing.yml"),
    ],
)
def test_invalid_options_are_refused(
    dolmen: Dolmen, words: tuple[str, ...], code: int, told: str
) -> None:
    done = dolmen.run("run", "qemu", *words)
    assert told in done.stderr
    assert done.returncode == code
    assert not [p for p in (dolmen.home / ".local").rglob("*") if p.is_file()]


def test_the_name_of_the_backend_is_optional(dolmen: Dolmen) -> None:
    assert "nothing-here is not a bootable image" in dolmen.run("run", "nothing-here").stderr


def test_uefi_without_a_firmware_names_the_package(dolmen: Dolmen, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(b"boot".ljust(510, b"\0") + b"\x55\xaa" + bytes(512))
    done = dolmen.run("run", "qemu", "--fw", tmp_path / "none.fd", disk)
    assert done.returncode == 1
    assert "DM1002" in done.stderr
