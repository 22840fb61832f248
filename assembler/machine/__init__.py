"""Run images in virtual machines.

    run(image, options, progress=..., console=...)    run an image until it ends or is ready
                                                      -> RunResult
    start(image, options, progress=...)               start an image -> RunningMachine, a context
                                                      manager: wait_for_text, wait_for_port, wait,
                                                      console_text, stop, kill
    list_machines(state), find_machine(name, state)   running and ended machines
    stop_machine(machine, timeout)                    stop one -> StopOutcome
    read_log(machine, follow=...)                     the text of a console
    read_service_log(machine, service)               the output of a service in the guest
    run_command(machine, service, command, files)    run a command in a service's container
    list_services(machine)                           the services of a guest -> ServiceState
    attach(machine, console)                          attach to a console -> AttachResult
    ssh_command(machine, command)                     the ssh command that logs in
    create_metadata_cd(path, content)                 write a CD with metadata for a guest
    check_host(store)                                 programs, firmware, KVM, store -> HostFinding
    detect_image(path)                                the kind of an image -> BootImage

    RunOptions       the options of a run
    ImageToBuild     YAML files that a run builds before it starts
    ConsoleIO        the protocol of terminals that attach to a machine
    CommandIO        the protocol of the standard files of a command

If a machine cannot start, DolmenError is raised; if it does not become ready, the RunResult has
diagnostics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.machine.accelerator import ProbeResult, choose_accelerator, probe_hvf, probe_kvm
    from assembler.machine.agent import (
        CommandIO,
        ServiceState,
        list_services,
        read_service_log,
        run_command,
    )
    from assembler.machine.attachment import AttachResult, attach
    from assembler.machine.console_io import ConsoleIO, NullConsole
    from assembler.machine.console_log import read_log
    from assembler.machine.description import Bus, Disk, Machine, Network, Port, Share
    from assembler.machine.firmware import find_firmware
    from assembler.machine.host_check import HostFinding, check_host
    from assembler.machine.image_detection import BootImage, ImageKind, detect_image
    from assembler.machine.management import (
        find_machine,
        list_machines,
        ssh_command,
        stop_machine,
    )
    from assembler.machine.metadata_cd import create_metadata_cd
    from assembler.machine.option_parsing import DiskOption
    from assembler.machine.options import ImageToBuild, RunOptions
    from assembler.machine.program import StopOutcome
    from assembler.machine.records import RecordedMachine, RunRecord, default_state, state_directory
    from assembler.machine.result import RunOutcome, RunResult
    from assembler.machine.run_machine import run
    from assembler.machine.running_machine import RunningMachine, start
    from assembler.machine.secure_boot_keys import read_key_lists
    from assembler.machine.virtiofs import find_virtiofsd

_HOMES = {
    "AttachResult": "attachment",
    "BootImage": "image_detection",
    "Bus": "description",
    "CommandIO": "agent",
    "ConsoleIO": "console_io",
    "Disk": "description",
    "DiskOption": "option_parsing",
    "HostFinding": "host_check",
    "ImageKind": "image_detection",
    "ImageToBuild": "options",
    "Machine": "description",
    "Network": "description",
    "NullConsole": "console_io",
    "Port": "description",
    "ProbeResult": "accelerator",
    "RecordedMachine": "records",
    "RunOptions": "options",
    "RunOutcome": "result",
    "RunRecord": "records",
    "RunResult": "result",
    "RunningMachine": "running_machine",
    "ServiceState": "agent",
    "Share": "description",
    "StopOutcome": "program",
    "attach": "attachment",
    "check_host": "host_check",
    "choose_accelerator": "accelerator",
    "create_metadata_cd": "metadata_cd",
    "default_state": "records",
    "detect_image": "image_detection",
    "find_firmware": "firmware",
    "find_machine": "management",
    "find_virtiofsd": "virtiofs",
    "list_machines": "management",
    "list_services": "agent",
    "probe_hvf": "accelerator",
    "probe_kvm": "accelerator",
    "read_key_lists": "secure_boot_keys",
    "read_log": "console_log",
    "read_service_log": "agent",
    "run": "run_machine",
    "run_command": "agent",
    "ssh_command": "management",
    "start": "running_machine",
    "state_directory": "records",
    "stop_machine": "management",
}

__all__ = [
    "AttachResult",
    "BootImage",
    "Bus",
    "CommandIO",
    "ConsoleIO",
    "Disk",
    "DiskOption",
    "HostFinding",
    "ImageKind",
    "ImageToBuild",
    "Machine",
    "Network",
    "NullConsole",
    "Port",
    "ProbeResult",
    "RecordedMachine",
    "RunOptions",
    "RunOutcome",
    "RunRecord",
    "RunResult",
    "RunningMachine",
    "ServiceState",
    "Share",
    "StopOutcome",
    "attach",
    "check_host",
    "choose_accelerator",
    "create_metadata_cd",
    "default_state",
    "detect_image",
    "find_firmware",
    "find_machine",
    "find_virtiofsd",
    "list_machines",
    "list_services",
    "probe_hvf",
    "probe_kvm",
    "read_key_lists",
    "read_log",
    "read_service_log",
    "run",
    "run_command",
    "ssh_command",
    "start",
    "state_directory",
    "stop_machine",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
