"""Find an accelerator (KVM, HVF or TCG) that works on this host, by trying it."""

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
_SYSCTL_TIMEOUT = 5


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Whether an accelerator works, and why not."""

    works: bool
    seen: str


def probe_kvm() -> ProbeResult:
    """Run an empty virtual machine, as /dev/kvm may exist but not work."""
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
                # Without memory the first instruction exits at once, which is no error.
                fcntl.ioctl(cpu, _KVM_RUN, 0)
        except OSError as error:
            return ProbeResult(
                works=False, seen=f"/dev/kvm exists but does not work: {error.strerror}"
            )
    return ProbeResult(works=True, seen="works")


def probe_hvf() -> ProbeResult:
    """Ask macOS whether it supports virtual machines."""
    if platform.system() != "Darwin":
        return ProbeResult(works=False, seen="only on macOS")
    result = subprocess.run(
        ["/usr/sbin/sysctl", "-n", "kern.hv_support"],
        capture_output=True,
        text=True,
        timeout=_SYSCTL_TIMEOUT,
        check=False,
    )
    works = result.stdout.strip() == "1"
    return ProbeResult(works, "works" if works else "this Mac does not support it")


_PROBES = {"kvm": probe_kvm, "hvf": probe_hvf}


@dataclass(frozen=True, slots=True)
class AcceleratorChoice:
    """The accelerator to use, and why it is not a faster one."""

    kind: str
    slow_because: str = ""


def choose_accelerator(architecture: str, requested: str = "") -> AcceleratorChoice:
    """Return the fastest accelerator that works, or the requested one.

    As in LinuxKit, `requested` may be a list separated by colons: the first that works is used.
    """
    own = architecture == host_platform().architecture
    failures: list[str] = []
    for kind in (w.strip() for w in (requested or ":".join(KINDS)).split(":")):
        if kind not in KINDS:
            raise MachineError.of(
                codes.NO_ACCELERATOR,
                f"unknown accelerator {kind!r}",
                f"choose one of {', '.join(KINDS)}, or omit --accel",
            )
        if kind == "tcg":
            reason = failures[0] if failures else "tcg was requested"
            return AcceleratorChoice(
                kind, reason if own else f"{architecture} is not this host's architecture"
            )
        probe = _PROBES[kind]()
        if probe.works and own:
            return AcceleratorChoice(kind)
        failures.append(
            f"{kind}: {probe.seen}" if own else f"{kind} runs only this host's architecture"
        )
    raise MachineError.of(
        codes.NO_ACCELERATOR,
        f"the accelerator {requested} cannot run {architecture} machines on this host",
        *failures,
        "omit --accel: emulation (tcg) works everywhere, but is slow",
    )
