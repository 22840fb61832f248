"""Disks that systemd-boot boots from, in machines with UEFI, made by programs of this machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.content import read_content
from assembler.events import NullReporter
from assembler.helper_images.boot_files import BootFiles
from assembler.media import ExtentImage, add_pe_sections, read_signer, sign_program
from assembler.oci.image_sources import ImageSources
from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.oci.resolution import resolve_images
from assembler.oci.store import Store
from support.cli import Dolmen
from support.guest import EMULATED, running
from support.guests import HOME, REPOSITORY
from support.verified import ESP, MEBI, Partition, VerifiedRoot, write_disk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assembler.media import SparseImage
    from support.guest import Guest

_CODE, _SECURE_CODE = (Path(f"/usr/share/OVMF/OVMF_CODE_4M{kind}.fd") for kind in ("", ".secboot"))
_VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
_ESP_UUID = "11111111-2222-3333-4444-555555555555"
_ESP_SIZE = 128
# systemd-boot does not wait for a choice.
_CONFIGURATION = b"timeout 0\n"

needs_firmware = pytest.mark.skipif(
    not (_SECURE_CODE.exists() and _VARIABLES.exists()), reason="OVMF is not installed"
)


def boot_files() -> BootFiles:
    """Return the programs of systemd for UEFI."""
    HOME.mkdir(parents=True, exist_ok=True)
    done = Dolmen(HOME).run(
        "pkg", "build", "--platforms", "linux/amd64", REPOSITORY / "pkg" / "bootloaders"
    )
    assert done.returncode == 0, done.stderr
    store = HOME / ".cache" / "dolmen"
    name = Reference.parse(done.stdout.strip())
    images = resolve_images(
        {name: None},
        Platform("linux", "amd64"),
        ImageSources(store=store, offline=True),
        NullReporter(),
    )
    return BootFiles(images[name], Store(store))


@dataclass(frozen=True)
class SecureBoot:
    """A directory of keys, whose key `db` signs programs and root hashes."""

    keys: Path

    @classmethod
    def generate(cls, folder: Path) -> SecureBoot:
        """Make the keys."""
        done = Dolmen(folder).run("keys", "generate", folder / "keys")
        assert done.returncode == 0, done.stderr
        return cls(folder / "keys")

    def sign_program(self, program: bytes) -> bytes:
        """Return a program with its signature."""
        signer = read_signer(self.keys / "db.key", self.keys / "db.crt", str)
        image = ExtentImage.of([(0, program)], len(program))
        return _bytes(sign_program(image, signer))

    def sign_root(self, digest: str) -> bytes:
        """Return the detached signature of a root hash."""
        words = ["-signer", self.keys / "db.crt", "-inkey", self.keys / "db.key"]
        return subprocess.run(
            ["openssl", "smime", "-sign", "-noattr", "-binary", "-outform", "der", *words],
            input=digest.encode(),
            check=True,
            capture_output=True,
        ).stdout

    def enrol(self, variables: Path, into: Path) -> None:
        """Write variables of the firmware that demand these signatures."""
        owner = (self.keys / "GUID").read_text().strip()
        words: list[str | Path] = ["--set-pk", owner, self.keys / "PK.crt"]
        words += ["--add-kek", owner, self.keys / "KEK.crt"]
        words += ["--add-db", owner, self.keys / "db.crt", "--secure-boot"]
        program = Path(sys.executable).with_name("virt-fw-vars")
        subprocess.run(
            [program, "-i", variables, "-o", into, *words], check=True, capture_output=True
        )


def unified_image(root: VerifiedRoot, stub: bytes, version: str, cmdline: str) -> bytes:
    """Return a unified kernel image of a version, whose command line has the root hash."""
    line = f"{root.cmdline} {EMULATED} quiet roothash={root.digest} {cmdline}"
    release = f"ID=x\nVERSION_ID={version}\nIMAGE_ID=X\nIMAGE_VERSION={version}\n"
    sections = [(".osrel", release.encode()), (".cmdline", line.encode())]
    sections += [(".initrd", root.initrd), (".linux", root.kernel)]
    return _bytes(add_pe_sections(stub, sections))


def _bytes(image: SparseImage) -> bytes:
    data = bytearray(image.size)
    for extent in image.extents():
        content = read_content(extent.content)
        data[extent.offset : extent.offset + len(content)] = content
    return bytes(data)


@dataclass
class UefiMachine:
    """A machine with a disk and variables of its own, which keep what boots leave in them."""

    folder: Path
    secure: SecureBoot | None = None

    @property
    def disk(self) -> Path:
        """Return the path of the disk."""
        return self.folder / "disk"

    def write(self, loader: bytes, entries: Mapping[str, bytes], *slots: Partition) -> None:
        """Write the disk: systemd-boot, entries by their names, and slots."""
        files = {"EFI/BOOT/BOOTX64.EFI": loader, "loader/loader.conf": _CONFIGURATION}
        files |= {f"EFI/Linux/{name}": content for name, content in entries.items()}
        esp = self.folder / "esp"
        with esp.open("wb") as file:
            file.truncate(_ESP_SIZE * MEBI)
        subprocess.run(["mkfs.vfat", "-F", "32", esp], check=True, capture_output=True)
        tree = self.folder / "tree"
        for path, content in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            sign = self.secure and path.upper().endswith(".EFI")
            (tree / path).write_bytes(
                self.secure.sign_program(content) if sign and self.secure else content
            )
        subprocess.run(
            ["mcopy", "-s", "-i", esp, *sorted(tree.iterdir()), "::"],
            check=True,
            capture_output=True,
        )
        write_disk(self.disk, Partition(ESP, _ESP_UUID, "ESP", esp), *slots)
        variables = self.folder / "variables"
        if self.secure:
            self.secure.enrol(_VARIABLES, variables)
        else:
            shutil.copy(_VARIABLES, variables)

    def entries(self) -> list[str]:
        """Return the names of the entries on the ESP."""
        said = subprocess.run(
            ["mdir", "-b", "-i", f"{self.disk}@@{MEBI}", "::/EFI/Linux"],
            check=True,
            capture_output=True,
            text=True,
        )
        return sorted(re.findall(r"[^/\n]+\.efi", said.stdout))

    @contextmanager
    def booted(self, memory: int = 512) -> Iterator[Guest]:
        """Start the machine, which may restart; it ends with the block."""
        machine = ("-machine", "q35,smm=on") if self.secure else ("-machine", "q35")
        if self.secure:
            machine += ("-global", "driver=cfi.pflash01,property=secure,value=on")
            machine += ("-global", "ICH9-LPC.disable_s3=1")
        code = _SECURE_CODE if self.secure else _CODE
        monitor = self.folder / "monitor"
        command: list[str | Path] = [
            *("qemu-system-x86_64", *machine, "-cpu", "max,cx16=off", "-accel", "tcg"),
            *("-nodefaults", "-m", str(memory), "-display", "none", "-serial", "stdio"),
            *("-drive", f"if=pflash,format=raw,readonly=on,file={code}"),
            *("-drive", f"if=pflash,format=raw,file={self.folder / 'variables'}"),
            *("-drive", f"if=none,id=disk,format=raw,file={self.disk}"),
            *("-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci"),
            *("-qmp", f"unix:{monitor},server=on,wait=off"),
        ]
        with running(command, monitor=monitor) as guest:
            yield guest
