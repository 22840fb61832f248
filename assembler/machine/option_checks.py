"""Check the options of a run before anything is built or started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import machine as codes
from assembler.codes import usage
from assembler.errors import UsageError
from assembler.machine.accelerator import choose_accelerator
from assembler.machine.description import Network, Port
from assembler.machine.option_parsing import DiskOption, parse_disk, parse_port, parse_size
from assembler.machine.qemu import supported_architectures
from assembler.machine.secure_boot_keys import read_key_lists
from assembler.machine.virtiofs import parse_shares
from assembler.oci import architecture_hint, host_platform, normalize_architecture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.machine.options import RunOptions

# The bridge of QEMU's own `-netdev bridge`.
_DEFAULT_BRIDGE = "br0"
_MAX_DEVICE_NAME = 15


def check_run_options(options: RunOptions) -> None:
    """Raise an error for the first option that is invalid."""
    memory_megabytes(options)
    network = requested_network(options)
    parse_shares(options.shares)
    list(requested_disks(options))
    architecture = target_architecture(options)
    choose_accelerator(architecture or host_platform().architecture, options.accelerator)
    problem = hint = ""
    if options.cpus < 1:
        problem = "--cpus: at least 1"
    elif options.metadata and options.metadata_file:
        problem = "--data and --data-file exclude each other"
    elif options.ssh and network.mode != "user":
        problem = "--ssh needs --networking user: otherwise the guest has its own address"
    elif architecture and architecture not in supported_architectures():
        problem = f"--arch: {options.architecture} is not supported"
        hint = architecture_hint(architecture)
        hint = hint or f"choose one of {', '.join(sorted(supported_architectures()))}"
    if problem:
        raise UsageError.of(usage.BAD_OPTION, problem, *filter(None, [hint]))
    if options.secure_boot_keys is not None:
        read_key_lists(options.secure_boot_keys)


def target_architecture(options: RunOptions) -> str:
    """Return the architecture in the options, or an empty text."""
    return normalize_architecture(options.architecture) if options.architecture else ""


def requested_network(options: RunOptions) -> Network:
    """Return the network that the options describe."""
    mode, *fields = (options.networking or "user").split(",")
    mode = "user" if mode == "default" else mode
    if mode not in ("user", "none", "tap", "bridge"):
        raise UsageError.of(
            usage.BAD_OPTION,
            f"--networking {mode} is not supported",
            "choose user, none, tap or bridge",
        )
    nat = fields[-1:] == ["nat"]
    device = ",".join(fields[:-1] if nat else fields)
    if mode == "bridge" and not device:
        device = _DEFAULT_BRIDGE
    if (device and mode in ("user", "none")) or "," in device:
        raise UsageError.of(
            usage.BAD_OPTION,
            f"--networking {options.networking}: not valid",
            "write it as user, none, tap, tap,tap0, bridge or bridge,br0; `,nat` may follow "
            "tap and bridge",
        )
    if len(device) > _MAX_DEVICE_NAME or "/" in device:
        raise UsageError.of(usage.BAD_OPTION, f"{device} is not a valid name of a network device")
    ports = tuple(p if isinstance(p, Port) else parse_port(p) for p in options.publish)
    if ports and mode != "user":
        raise UsageError.of(
            codes.BAD_PORT,
            f"--publish does not work with --networking {mode}",
            "omit --networking" if mode == "none" else "the guest has its own address",
        )
    return Network(mode, device, ports=ports, segments=options.segments, nat=nat)


def requested_disks(options: RunOptions) -> Iterator[DiskOption]:
    """Yield the disks that the options describe."""
    for disk in options.disks:
        yield disk if isinstance(disk, DiskOption) else parse_disk(disk)


def memory_megabytes(options: RunOptions) -> int:
    """Return the amount of memory in MB."""
    if isinstance(options.memory, int):
        if options.memory < 1:
            raise UsageError.of(
                codes.BAD_DISK, f"--mem: not a size: {options.memory}", "write it as 512M or 2G"
            )
        return options.memory
    return max(1, parse_size(options.memory, "--mem") >> 20)
