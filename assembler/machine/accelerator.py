"""Accelerators: which of them really run a machine here, found out by trying."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import subprocess
from dataclasses import dataclass

from assembler.codes import machine as codes
from assembler.errors import MachineError
from assembler.oci import host_platform

_KVM_CREATE_VM = 0xAE01
_KVM_CREATE_VCPU = 0xAE41
_KVM_RUN = 0xAE80
KINDS = ("kvm", "hvf", "tcg")
_PATIENCE = 5


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Whether something works, and what was seen."""

    works: bool
    seen: str


def probe_kvm() -> ProbeResult:
    """Start a virtual machine, as the device may be there and refuse to run one."""
    try:
        device = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return ProbeResult(works=False, seen=error.strerror or "no")
    with contextlib.ExitStack() as opened:
        opened.callback(os.close, device)
        try:
            machine = fcntl.ioctl(device, _KVM_CREATE_VM, 0)
            opened.callback(os.close, machine)
            cpu = fcntl.ioctl(machine, _KVM_CREATE_VCPU, 0)
            opened.callback(os.close, cpu)
            if platform.machine() == "x86_64":
                # With no memory at all the first instruction ends the run at once, in good order.
                fcntl.ioctl(cpu, _KVM_RUN, 0)
        except OSError as error:
            return ProbeResult(
                works=False, seen=f"/dev/kvm is there but does not work: {error.strerror}"
            )
    return ProbeResult(works=True, seen="works")


def probe_hvf() -> ProbeResult:
    """Ask macOS whether it lets programs run machines."""
    if platform.system() != "Darwin":
        return ProbeResult(works=False, seen="only on macOS")
    asked = subprocess.run(
        ["/usr/sbin/sysctl", "-n", "kern.hv_support"],
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    works = asked.stdout.strip() == "1"
    return ProbeResult(works, "works" if works else "this Mac does not support it")


_TRIALS = {"kvm": probe_kvm, "hvf": probe_hvf}


@dataclass(frozen=True, slots=True)
class AcceleratorChoice:
    """The accelerator to be used, and why it is not a faster one."""

    kind: str
    slow_because: str = ""


def choose_accelerator(architecture: str, wanted: str = "") -> AcceleratorChoice:
    """Return the fastest accelerator that works, or the one wanted.

    As in LinuxKit, `wanted` may be several with colons between them: the first that works is taken.
    """
    own = architecture == host_platform().architecture
    failures: list[str] = []
    for kind in (w.strip() for w in (wanted or ":".join(KINDS)).split(":")):
        if kind not in KINDS:
            raise MachineError.of(
                codes.NO_ACCELERATOR,
                f"there is no accelerator {kind!r}",
                f"choose of {', '.join(KINDS)}, or leave --accel out",
            )
        if kind == "tcg":
            reason = failures[0] if failures else "tcg was asked for"
            return AcceleratorChoice(
                kind, reason if own else f"{architecture} is not this machine's own"
            )
        trial = _TRIALS[kind]()
        if trial.works and own:
            return AcceleratorChoice(kind)
        failures.append(f"{kind}: {trial.seen}" if own else f"{kind} runs this machine's own kind")
    raise MachineError.of(
        codes.NO_ACCELERATOR,
        f"the accelerator {wanted} cannot run a machine of {architecture} here",
        *failures,
        "leave --accel out: emulation (tcg) works everywhere, and is slow",
    )
