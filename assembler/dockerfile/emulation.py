"""Whether this machine can run the programs that RUN starts, by itself or by emulation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.errors import PackageError
from assembler.oci import Platform, host_platform

if TYPE_CHECKING:
    from assembler.dockerfile.stages import DockerfilePlan, Stage

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
# What QEMU calls an architecture, where that is not OCI's name.
_QEMU = {"amd64": "x86_64", "arm64": "aarch64", "386": "i386"}
_NATIVE = {"amd64": ("amd64", "386"), "arm64": ("arm64",)}


def check_runnable(plan: DockerfilePlan, binfmt: Path = _BINFMT) -> None:
    """Refuse a Dockerfile whose RUN needs a machine that is neither here nor emulated."""
    here = host_platform().architecture
    for stage in plan.needed_stages():
        platform = _stage_platform(plan, stage)
        wanted = platform.architecture
        if wanted in _NATIVE.get(here, (here,)) or _is_emulated(wanted, binfmt):
            continue
        for instruction in stage.instructions:
            if instruction.keyword == "RUN":
                raise PackageError.of(
                    packages.NO_EMULATION,
                    f"RUN starts programs for {platform}, and this machine runs {here} only",
                    "build in a stage of this machine's own platform, FROM "
                    "--platform=$BUILDPLATFORM, and let it compile for $TARGETARCH",
                    "or install qemu-user-static, which emulates other architectures slowly",
                    f"or leave {wanted} out: --skip-platforms {platform}",
                    place=instruction.place(),
                )


def _stage_platform(plan: DockerfilePlan, stage: Stage) -> Platform:
    """Return the platform of a stage: that of the stage it stands on, if it names none."""
    if stage.platform:
        return Platform.parse(stage.platform)
    below = plan.find_stage(stage.base, stage.number)
    return _stage_platform(plan, below) if below else plan.arguments.target


def _is_emulated(architecture: str, binfmt: Path) -> bool:
    entry = binfmt / f"qemu-{_QEMU.get(architecture, architecture)}"
    try:
        return entry.read_text("utf-8", "replace").startswith("enabled")
    except OSError:
        return False
