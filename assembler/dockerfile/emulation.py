"""Whether this machine can run the programs of RUN, natively or by emulation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.errors import PackageError
from assembler.oci import Platform, host_platform

if TYPE_CHECKING:
    from assembler.dockerfile.stages import DockerfilePlan, Stage

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
# QEMU's names of architectures, where they differ from OCI's.
_QEMU = {"amd64": "x86_64", "arm64": "aarch64", "386": "i386"}
_NATIVE = {"amd64": ("amd64", "386"), "arm64": ("arm64",)}


def check_runnable(plan: DockerfilePlan, binfmt: Path = _BINFMT) -> None:
    """Refuse a RUN for an architecture that this machine neither has nor emulates."""
    native = host_platform().architecture
    for stage in plan.needed_stages():
        platform = _stage_platform(plan, stage)
        architecture = platform.architecture
        if architecture in _NATIVE.get(native, (native,)) or _is_emulated(architecture, binfmt):
            continue
        for instruction in stage.instructions:
            if instruction.keyword == "RUN":
                raise PackageError.of(
                    packages.NO_EMULATION,
                    f"RUN starts programs for {platform}, which this machine ({native}) cannot run",
                    "compile for $TARGETARCH in a stage of this machine's platform: "
                    "FROM --platform=$BUILDPLATFORM",
                    "or install qemu-user-static; emulation is slow",
                    f"or skip the platform: --skip-platforms {platform}",
                    place=instruction.place(),
                )


def _stage_platform(plan: DockerfilePlan, stage: Stage) -> Platform:
    """Return the platform of a stage; without one of its own, that of its base stage."""
    if stage.platform:
        return Platform.parse(stage.platform)
    base = plan.find_stage(stage.base, stage.number)
    return _stage_platform(plan, base) if base else plan.arguments.target


def _is_emulated(architecture: str, binfmt: Path) -> bool:
    entry = binfmt / f"qemu-{_QEMU.get(architecture, architecture)}"
    try:
        return entry.read_text("utf-8", "replace").startswith("enabled")
    except OSError:
        return False
