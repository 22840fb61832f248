"""Commands that install packages are possible on the distribution, and ids are not given twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.tools import (
    TOOLS,
    Distribution,
    has_new_enough,
    has_subordinate_ids,
    install_command,
    subordinate_ids_command,
)

if TYPE_CHECKING:
    from pathlib import Path

RELEASES = {
    "bookworm": {"ID": "debian", "NAME": "Debian GNU/Linux", "VERSION_ID": "12"},
    "trixie": {"ID": "debian", "NAME": "Debian GNU/Linux", "VERSION_ID": "13"},
    "sid": {"ID": "debian", "NAME": "Debian GNU/Linux"},
    "jammy": {"ID": "ubuntu", "ID_LIKE": "debian", "NAME": "Ubuntu", "VERSION_ID": "22.04"},
    "mint": {"ID": "linuxmint", "ID_LIKE": "ubuntu debian", "NAME": "Mint", "VERSION_ID": "22"},
    "fedora": {"ID": "fedora", "NAME": "Fedora Linux", "VERSION_ID": "43"},
    "rocky": {"ID": "rocky", "ID_LIKE": "rhel centos fedora", "NAME": "Rocky", "VERSION_ID": "9.4"},
    "arch": {"ID": "arch", "NAME": "Arch Linux"},
    "alpine": {"ID": "alpine", "NAME": "Alpine Linux", "VERSION_ID": "3.22.1"},
    "tumbleweed": {"ID": "opensuse-tumbleweed", "ID_LIKE": "opensuse suse", "NAME": "openSUSE"},
    "nixos": {"ID": "nixos", "NAME": "NixOS", "VERSION_ID": "25.05"},
}


@pytest.mark.parametrize(
    ("release", "package", "command"),
    [
        ("bookworm", "virtiofsd", "sudo apt-get install qemu-system-common"),
        ("trixie", "virtiofsd", "sudo apt-get install virtiofsd"),
        ("sid", "virtiofsd", "sudo apt-get install virtiofsd"),
        ("jammy", "virtiofsd", "sudo apt-get install qemu-system-common"),
        ("mint", "buildah", "sudo apt-get install buildah"),
        ("bookworm", "qemu-efi-riscv64", "Debian 12 has no package of qemu-efi-riscv64"),
        ("fedora", "qemu-system-arm", "sudo dnf install qemu-system-aarch64"),
        ("rocky", "qemu-utils", "sudo dnf install qemu-img"),
        ("arch", "ovmf", "sudo pacman -S edk2-ovmf"),
        ("arch", "apt", "Arch Linux has no package of apt"),
        ("alpine", "qemu-system-x86", "doas apk add qemu-system-x86_64"),
        ("tumbleweed", "squashfs-tools", "sudo zypper install squashfs"),
        ("nixos", "git", "install git, as Debian calls it"),
    ],
)
def test_the_command_is_that_of_the_distribution(release: str, package: str, command: str) -> None:
    assert install_command(package, on=Distribution.parse(RELEASES[release])) == command


def test_several_packages_are_one_command_on_macos() -> None:
    macos = Distribution("macos", "macOS")
    assert install_command("qemu-system-x86", "qemu-utils", on=macos) == "brew install qemu"


@pytest.mark.parametrize(
    ("release", "squashfs", "erofs"),
    [("bookworm", False, False), ("trixie", True, True), ("jammy", False, False)],
)
def test_a_package_may_be_too_old(release: str, squashfs: bool, erofs: bool) -> None:  # noqa: FBT001
    on = Distribution.parse(RELEASES[release])
    assert has_new_enough("squashfs-tools", on) is squashfs
    assert has_new_enough("erofs-utils", on) is erofs


def test_every_program_can_be_installed_on_debian() -> None:
    for release in ("bookworm", "trixie"):
        on = Distribution.parse(RELEASES[release])
        for tool in TOOLS.values():
            assert install_command(tool.package, on=on).startswith("sudo apt-get install ")


def test_subordinate_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    files = (tmp_path / "subuid", tmp_path / "subgid")
    assert has_subordinate_ids(0, files)
    assert not has_subordinate_ids(4242, files)
    assert subordinate_ids_command(4242, files).endswith(
        "--add-subuids 100000-165535 --add-subgids 100000-165535 4242"
    )
    files[0].write_text("other:100000:65536\n4242:165536:65536\nbroken\n")
    assert not has_subordinate_ids(4242, files)
    assert "--add-subuids 231072-296607" in subordinate_ids_command(4242, files)
    files[1].write_text("4242:165536:65536\n")
    assert has_subordinate_ids(4242, files)
