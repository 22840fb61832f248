"""squashfs and erofs: inspection reads what the host's programs wrote, and refusals come first."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.errors import OutputError
from assembler.helper_images import programs_missing_on_host
from assembler.inspection import inspect_file
from support.archives import E, image
from support.formats import FILES, SYSTEM, SmallSystem
from support.programs import kernel

if TYPE_CHECKING:
    from pathlib import Path

PROGRAMS = {"squashfs": "mksquashfs", "erofs": "mkfs.erofs"}
MISSING = programs_missing_on_host(PROGRAMS.values())


def configured(system: SmallSystem, text: str) -> str:
    """Return the YAML of a system whose kernel image has a configuration."""
    files = (E("kernel", kernel()), E("kernel_config", text.encode()))
    image(system.store, "test/configured:1", files)
    return f'kernel: {{image: "test/configured:1", tar: none, cmdline: "x"}}\ninit: ["{SYSTEM}"]\n'


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_kernel_that_cannot_read_the_compression_is_refused(
    name: str, system: SmallSystem, tmp_path: Path
) -> None:
    yaml = configured(
        system,
        "CONFIG_RD_ZSTD=y\nCONFIG_SQUASHFS=y\nCONFIG_SQUASHFS_XZ=y\n"
        "CONFIG_EROFS_FS=y\nCONFIG_EROFS_FS_ZIP_LZMA=m\n",
    )
    with pytest.raises(OutputError, match=f"cannot read a {name} with zstd") as caught:
        system.write(tmp_path, f"kernel+{name}", yaml=yaml)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.hints == ("it can read `--compression xz`",)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_filesystem_has_the_tree(name: str, system: SmallSystem, tmp_path: Path) -> None:
    if PROGRAMS[name] in MISSING:
        pytest.skip(f"{PROGRAMS[name]} is missing or too old")
    outputs = system.write(tmp_path, f"kernel+{name}")
    assert [o.role for o in outputs] == ["root", "kernel", "cmdline"]
    path = tmp_path / f"os-{name}.img"
    found = inspect_file(path)
    assert found.kind == f"{name} filesystem"
    assert found.problem == ""
    if name == "squashfs":
        out = tmp_path / "out"
        unpack = ["unsquashfs", "-no-xattrs", "-dest", out, path]
        subprocess.run(unpack, check=True, capture_output=True)
        assert {name: (out / name).read_bytes() for name in FILES} == FILES
