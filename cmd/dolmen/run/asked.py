"""What `dolmen run qemu` was asked for, and what can be said about it before anything is built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from assembler.codes import machine as codes
from assembler.codes import usage
from assembler.errors import UsageError
from assembler.machine import accelerator, enrolling, options, qemu, shares
from assembler.machine.description import Network, Share
from assembler.machine.detecting import Kind
from assembler.oci import host_platform, normalize_architecture

_LONGEST_DEVICE = 15


@dataclass(frozen=True, slots=True)
class Trust:
    """What guards the machine's start: a firmware that checks signatures, and a TPM."""

    secure_boot: bool = False
    # A directory with certificates to be trusted instead of Microsoft's.
    keys: Path | None = None
    tpm: bool = False

    @property
    def checks(self) -> bool:
        """Tell whether the firmware refuses what is not signed."""
        return self.secure_boot or self.keys is not None


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of `dolmen run qemu` that say what the machine is."""

    paths: tuple[str, ...]
    name: str
    cpus: int
    memory: str
    disks: tuple[str, ...]
    gui: bool
    uefi: bool
    kind: Kind | None
    squashfs: bool
    state: Path | None
    data: str
    data_file: Path | None
    fw: Path | None
    accel: str
    architecture: str
    qemu: Path | None
    networking: str
    publish: tuple[str, ...]
    segments: tuple[str, ...]
    usb: bool
    devices: tuple[str, ...]
    snapshot: bool
    # Nothing that the machine writes is kept, wherever it is.
    ephemeral: bool = False
    trust: Trust = Trust()
    virtiofs: tuple[str, ...] = ()
    virtiofsd: Path | None = None
    ssh: bool = False

    @property
    def yaml_files(self) -> tuple[str, ...]:
        """Return the files that have to be built first."""
        found = tuple(p for p in self.paths if p.lower().endswith((".yml", ".yaml")))
        if found and len(found) != len(self.paths):
            raise UsageError.of(usage.BAD_OPTION, "YAML files and an image cannot be run together")
        if not found and len(self.paths) != 1:
            raise UsageError.of(
                usage.BAD_OPTION,
                "which image is to be run?" if not self.paths else "only one image can be run",
                "dolmen run qemu image.yml, or the prefix or path of an image",
            )
        return found

    @property
    def target(self) -> str:
        """Return the architecture asked for, or nothing."""
        return normalize_architecture(self.architecture) if self.architecture else ""

    @property
    def called(self) -> str:
        """Return a name for the machine."""
        return self.name or Path(self.paths[-1]).stem or "machine"


def check(asked: RunOptions) -> None:
    """Find what is wrong with the options before anything is built."""
    _ = asked.yaml_files
    memory_of(asked)
    network(asked)
    shared(asked)
    for text in asked.disks:
        options.parse_disk(text)
    accelerator.choose(asked.target or host_platform().architecture, asked.accel)
    problem = ""
    if asked.cpus < 1:
        problem = "--cpus: a machine has at least one"
    elif asked.data and asked.data_file:
        problem = "--data and --data-file contradict each other"
    elif asked.ssh and network(asked).mode != "user":
        problem = "--ssh is for --networking user: otherwise the guest has an address of its own"
    elif asked.target and asked.target not in qemu.architectures():
        problem = f"--arch: {asked.architecture} cannot be run"
    if problem:
        raise UsageError.of(usage.BAD_OPTION, problem)
    if asked.trust.keys is not None:
        enrolling.certificates(asked.trust.keys)


def network(asked: RunOptions) -> Network:
    """Return the network asked for."""
    mode, *words = (asked.networking or "user").split(",")
    mode = "user" if mode == "default" else mode
    if mode not in ("user", "none", "tap", "bridge"):
        raise UsageError.of(
            usage.BAD_OPTION,
            f"--networking {mode} is not supported",
            "choose user, none, tap,DEVICE or bridge,DEVICE",
        )
    nat = words[-1:] == ["nat"]
    device = ",".join(words[:-1] if nat else words)
    if (mode == "bridge") > bool(device) or (device and mode in ("user", "none")) or "," in device:
        raise UsageError.of(
            usage.BAD_OPTION,
            f"--networking {asked.networking}: write it as bridge,br0 or user",
            "tap, tap,tap0, bridge,br0; each of them may have `,nat` at the end",
        )
    if len(device) > _LONGEST_DEVICE or "/" in device:
        raise UsageError.of(usage.BAD_OPTION, f"{device} cannot be the name of a network device")
    ports = tuple(options.parse_port(text) for text in asked.publish)
    if ports and mode != "user":
        raise UsageError.of(
            codes.BAD_PORT,
            f"--publish has no part in --networking {mode}",
            "leave --networking out" if mode == "none" else "the guest has an address of its own",
        )
    return Network(mode, device, ports=ports, segments=asked.segments, nat=nat)


def shared(asked: RunOptions) -> tuple[Share, ...]:
    """Return the directories that the guest is to see."""
    return shares.parse_all(asked.virtiofs)


def memory_of(asked: RunOptions) -> int:
    """Return the amount of memory in MB."""
    return max(1, options.parse_size(asked.memory, "--mem") >> 20)
