"""ISO volumes: pycdlib reads names, attributes, contents and boot entries; inspection agrees."""

from __future__ import annotations

import io
import stat
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pycdlib import PyCdlib

from assembler.errors import OutputError
from assembler.events import WarningEmitted
from assembler.formats import iso_tree
from assembler.inspection import inspect_file
from assembler.media import KeySetOptions, generate_keys, read_signer
from support.archives import E, image
from support.formats import (
    CMDLINE,
    FILES,
    LINKS,
    SYSTEM,
    WITHOUT_KERNEL,
    YAML,
    EventList,
    SmallSystem,
)
from support.loaders import KERNEL
from support.programs import kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WITH_ROOT = YAML.replace(CMDLINE, f"{CMDLINE} root=LABEL=DOLMEN")
ISOLINUX = {"isolinux/isolinux.bin", "isolinux/ldlinux.c32", "isolinux/isolinux.cfg"}
SYSTEM_FILES = {"kernel", "initrd.img"}
EFI_IMAGE = "boot/efi.img"
# By format: its file, its files, and the platforms of its boot entries.
FORMATS = {
    "iso-bios": (".iso", ISOLINUX | SYSTEM_FILES, [0]),
    "iso-efi": ("-efi.iso", {EFI_IMAGE}, [0xEF]),
    "iso-efi-initrd": ("-efi-initrd.iso", {EFI_IMAGE} | SYSTEM_FILES, [0xEF]),
    "iso": ("-hybrid.iso", ISOLINUX | SYSTEM_FILES | {EFI_IMAGE}, [0, 0xEF]),
}


@contextmanager
def opened(path: Path) -> Iterator[PyCdlib]:
    """Yield a volume as pycdlib reads it."""
    volume = PyCdlib()
    volume.open(str(path))
    try:
        yield volume
    finally:
        volume.close()


def entries(volume: PyCdlib) -> dict[str, Any]:
    """Return the records of all files, directories and links by their Rock Ridge paths."""
    found: dict[str, Any] = {}
    folders = [""]
    while folders:
        folder = folders.pop()
        for child in volume.list_children(rr_path=folder or "/"):
            if child is None or child.is_dot() or child.is_dotdot():
                continue
            path = f"{folder}/{child.rock_ridge.name().decode()}"
            found[path[1:]] = child
            if child.is_dir():
                folders.append(path)
    return found


def files(volume: PyCdlib) -> dict[str, bytes]:
    """Return the contents of all regular files."""
    contents: dict[str, bytes] = {}
    for path, record in entries(volume).items():
        if record.is_dir() or record.rock_ridge.is_symlink():
            continue
        if not stat.S_ISREG(record.rock_ridge.get_file_mode()):
            continue
        out = io.BytesIO()
        if record.get_data_length():
            volume.get_file_from_iso_fp(out, rr_path=f"/{path}")
        contents[path] = out.getvalue()
    return contents


def boot_entries(volume: PyCdlib) -> list[tuple[int, int]]:
    """Return platform and first sector of each boot entry."""
    catalog = volume.eltorito_boot_catalog
    assert catalog is not None
    found = [(catalog.validation_entry.platform_id, catalog.initial_entry.get_rba())]
    for section in catalog.sections:
        found += [(section.platform_id, entry.get_rba()) for entry in section.section_entries]
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_a_bootable_volume_has_its_files_and_boot_entries(
    name: str, system: SmallSystem, tmp_path: Path
) -> None:
    suffix, names, platforms = FORMATS[name]
    (output,) = system.write(tmp_path, name)
    path = tmp_path / f"os{suffix}"
    assert output.path == path
    data = path.read_bytes()
    with opened(path) as volume:
        assert volume.pvd.volume_identifier.rstrip() == b"DOLMEN"
        contents = files(volume)
        assert set(contents) == names
        booted = boot_entries(volume)
        assert [platform for platform, _ in booted] == platforms
        loader = "isolinux/isolinux.bin" if platforms[0] == 0 else EFI_IMAGE
        records = entries(volume)
        assert booted[0][1] == records[loader].extent_location()
        if 0xEF in platforms:
            assert booted[-1][1] == records[EFI_IMAGE].extent_location()
        if "kernel" in names:
            assert contents["kernel"] == kernel()
            assert stat.S_IMODE(records["kernel"].rock_ridge.get_file_mode()) == 0o444
        if "isolinux/isolinux.cfg" in names:
            assert f"APPEND {CMDLINE}\n".encode() in contents["isolinux/isolinux.cfg"]
    found = inspect_file(path)
    assert found.problem == ""
    assert found.facts["names"] == "Rock Ridge"
    assert {file.path: file.size for file in found.files} == {
        path: len(content) for path, content in contents.items()
    }
    assert data[510:512] == b"\x55\xaa"


@pytest.mark.parametrize("name", ["iso", "iso-efi-initrd"])
def test_kernel_and_initrd_are_stored_once(name: str, system: SmallSystem, tmp_path: Path) -> None:
    image(system.store, "test/marked:1", (E("kernel", kernel("9.9-only-once")),))
    yaml = YAML.replace(KERNEL, "test/marked:1")
    (output,) = system.write(tmp_path, name, yaml=yaml)
    assert output.path is not None
    assert output.path.read_bytes().count(b"9.9-only-once") == 1
    inner = dict(inspect_file(output.path).parts)["boot by UEFI"]
    assert {"kernel", "initrd.img"} <= {file.path for file in inner.files}


def test_a_volume_for_uefi_boots_one_program(system: SmallSystem, tmp_path: Path) -> None:
    system.write(tmp_path, "iso-efi")
    inner = dict(inspect_file(tmp_path / "os-efi.iso").parts)["boot by UEFI"]
    program = dict(inner.parts)["EFI/BOOT/BOOTX64.EFI"]
    assert program.kind == "unified kernel image"
    assert program.facts["command line"] == CMDLINE


def check_root(volume: PyCdlib) -> None:
    """Check names, contents and attributes of the root filesystem on a volume."""
    contents, records = files(volume), entries(volume)
    assert {path: contents[path] for path in FILES} == FILES
    assert contents["etc/issue"] == b"hello"
    targets = {path: records[path].rock_ridge.symlink_path().decode() for path in LINKS}
    assert targets == LINKS
    modes = {path: record.rock_ridge.get_file_mode() for path, record in records.items()}
    assert modes["bin"] == stat.S_IFDIR | 0o755
    assert modes["etc"] == stat.S_IFDIR | 0o750
    assert modes["bin/init"] == stat.S_IFREG | 0o755
    assert modes["etc/issue"] == stat.S_IFREG | 0o640
    long_name = next(path for path in FILES if len(path) > 40)
    px = records[long_name].rock_ridge.dr_entries.px_record
    assert (px.posix_user_id, px.posix_group_id) == (7, 8)
    assert stat.S_IMODE(modes[long_name]) == 0o600
    linked = [records[path] for path in ("bin/init", "bin/linked")]
    assert linked[0].extent_location() == linked[1].extent_location()
    assert [r.rock_ridge.dr_entries.px_record.posix_file_links for r in linked] == [2, 2]


def test_a_root_filesystem_keeps_names_and_attributes(system: SmallSystem, tmp_path: Path) -> None:
    outputs = system.write(tmp_path, "kernel+iso")
    assert {o.role for o in outputs} == {"root", "kernel", "cmdline"}
    with opened(tmp_path / "os.iso") as volume:
        check_root(volume)
        assert not [path for path in entries(volume) if path.startswith("boot/")]
        assert volume.eltorito_boot_catalog is None
    assert (tmp_path / "os-kernel").read_bytes() == kernel()


@pytest.mark.parametrize("name", ["iso-bios", "iso-efi", "iso"])
def test_a_command_line_with_root_puts_the_system_onto_the_volume(
    name: str, system: SmallSystem, tmp_path: Path
) -> None:
    suffix, names, platforms = FORMATS[name]
    system.write(tmp_path, name, yaml=WITH_ROOT)
    path = tmp_path / f"os{suffix}"
    with opened(path) as volume:
        check_root(volume)
        found = set(entries(volume))
        assert {f"boot/{n}" if n in SYSTEM_FILES else n for n in names} <= found
        assert [platform for platform, _ in boot_entries(volume)] == platforms
        if "kernel" in names:
            assert files(volume)["boot/kernel"] == kernel()
    assert inspect_file(path).problem == ""


def test_a_root_filesystem_needs_no_kernel(system: SmallSystem, tmp_path: Path) -> None:
    (output,) = system.write(tmp_path, "kernel+iso", yaml=WITHOUT_KERNEL)
    assert output.role == "root"
    with opened(tmp_path / "os.iso") as volume:
        assert files(volume)["bin/init"] == FILES["bin/init"]


def test_later_layers_replace_earlier_ones_through_links(
    system: SmallSystem, tmp_path: Path
) -> None:
    image(system.store, "test/over:1", (E("sbin/init", b"new", mode=0o700), E("etc/empty", b"1")))
    yaml = f'init: ["{SYSTEM}", "test/over:1"]\n'
    system.write(tmp_path, "kernel+iso", yaml=yaml)
    with opened(tmp_path / "os.iso") as volume:
        contents = files(volume)
        assert contents["bin/init"] == b"new"
        assert contents["etc/empty"] == b"1"
        assert contents["bin/linked"] == FILES["bin/linked"]
        assert "sbin/init" not in contents


def test_lost_capabilities_give_a_warning(system: SmallSystem, tmp_path: Path) -> None:
    pax = {"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00"}
    image(system.store, "test/ping:1", (E("bin/ping", b"ping", mode=0o755, pax=pax),))
    reporter = EventList([])
    with system.assembly('init: ["test/ping:1"]\n') as assembly:
        assembly.reporter = reporter
        assembly.prepare(tree=True)
        with (tmp_path / "spill").open("w+b") as spill:
            names = [entry.path for entry in iso_tree.iso_entries(assembly, spill)]
    assert b"bin/ping" in names
    messages = [e.diagnostic.message for e in reporter.events if isinstance(e, WarningEmitted)]
    assert "file capabilities are lost on the ISO volume: bin/ping" in messages


def test_too_many_files_are_refused(
    system: SmallSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iso_tree, "MAX_ISO_ENTRIES", 5)
    with pytest.raises(OutputError, match=r"DM0602.*more than 5 files"):
        system.write(tmp_path, "kernel+iso", yaml=WITHOUT_KERNEL)
    assert not list(tmp_path.iterdir())


def test_a_volume_with_a_separate_initrd_cannot_be_signed(
    system: SmallSystem, tmp_path: Path
) -> None:
    generate_keys(tmp_path / "keys", KeySetOptions("Test", datetime(2026, 1, 1, tzinfo=UTC)))
    signer = read_signer(tmp_path / "keys/db.key", tmp_path / "keys/db.crt", lambda: "")
    options = system.options(signer=signer)
    with pytest.raises(OutputError, match="iso-efi-initrd cannot be signed"):
        system.write(tmp_path / "out", "iso-efi-initrd", options=options)
    system.write(tmp_path / "out", "iso,iso-efi", options=options)
    for suffix in ("-hybrid.iso", "-efi.iso"):
        assert len(set(inspect_file(tmp_path / "out" / f"os{suffix}").signers())) == 1
