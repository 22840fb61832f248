"""`dolmen run qemu`: run an image in QEMU, with its console in the terminal."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.errors import DolmenError
from dolmen.lazy import command_app
from dolmen.output import print_json, print_line
from dolmen.registries import Creds, Insecure
from dolmen.run.durations import parse_duration
from dolmen.setting_values import text_of
from dolmen.settings import settings_of
from dolmen.sources import MaxImageSize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.build import BuildOptions
    from assembler.machine import RunResult

app = command_app()
_KEYS_HINT = (
    "Ctrl-C ends the machine; Ctrl-] c sends Ctrl-C to the guest, Ctrl-] twice sends Ctrl-]"
)


@app.command()
def qemu(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH",
            help="YAML files to build first, or the prefix of a kernel and initrd, an ISO or a "
            "disk.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(help="The machine's name.  [default: the image's name]", metavar="NAME")
    ] = "",
    cpus: Annotated[int, typer.Option(help="Number of CPUs.", metavar="N")] = 1,
    mem: Annotated[
        str, typer.Option(help="Memory in MB, or with a unit such as 2G.", metavar="SIZE")
    ] = "1024",
    disk: Annotated[
        list[str] | None,
        typer.Option(
            help="A disk: [file=]PATH[,size=1G][,format=qcow2][,bus=scsi][,readonly=on]. Created "
            "if it does not exist, with the size in GB or a unit; repeatable.",
            metavar="DISK",
        ),
    ] = None,
    snapshot: Annotated[
        bool, typer.Option("--snapshot", help="Discard writes to disks on exit.")
    ] = False,
    ephemeral: Annotated[
        bool,
        typer.Option(
            "--ephemeral",
            help="Discard all state on exit: writes to disks, new disks, UEFI variables and the "
            "TPM's state. --state is only read.",
        ),
    ] = False,
    virtiofs: Annotated[
        list[str] | None,
        typer.Option(
            help="Share a directory; the guest mounts it with mount -t virtiofs NAME /mnt. The "
            "default names are virtiofs0, virtiofs1 …; repeatable.",
            metavar="[NAME=]DIR",
        ),
    ] = None,
    virtiofsd: Annotated[
        Path | None,
        typer.Option(help="The path of virtiofsd.", metavar="PROGRAM"),
    ] = None,
    ssh: Annotated[
        bool,
        typer.Option(
            "--ssh",
            help="Forward a port to the guest's SSH server, and pass a new key as metadata; see "
            "`dolmen ssh`.",
        ),
    ] = False,
    data: Annotated[
        str, typer.Option(help="Metadata for the guest, as text.", metavar="TEXT")
    ] = "",
    data_file: Annotated[
        Path | None, typer.Option(help="Metadata for the guest, from a file.", metavar="FILE")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            help="Keep disks without a path, UEFI variables and the TPM's state in DIR.",
            metavar="DIR",
        ),
    ] = None,
    networking: Annotated[
        str,
        typer.Option(
            help="user, none, tap[,DEVICE][,nat] or bridge[,DEVICE][,nat] (br0). Missing "
            "devices are created, which needs root.",
            metavar="MODE",
        ),
    ] = "user",
    publish: Annotated[
        list[str] | None,
        typer.Option(
            help="Forward a port of this host to the guest: [ADDRESS:]HOST:GUEST[/udp]; "
            "repeatable.",
            metavar="PORT",
        ),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            help="Add a network card on the private segment NAME, shared with other machines of "
            "this host; repeatable.",
            metavar="NAME",
        ),
    ] = None,
    uefi: Annotated[bool, typer.Option("--uefi", help="Boot with UEFI.")] = False,
    fw: Annotated[
        Path | None,
        typer.Option(help="UEFI firmware.  [default: the installed one]", metavar="FILE"),
    ] = None,
    secure_boot: Annotated[
        bool,
        typer.Option(
            "--secure-boot", help="Boot with UEFI, and only programs signed with Microsoft's keys."
        ),
    ] = False,
    secure_boot_keys: Annotated[
        Path | None,
        typer.Option(
            help="Like --secure-boot, with the certificates PK, KEK and db in DIR.",
            metavar="DIR",
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="Directory with the keys of a verified system: they sign what is built, and "
            "Secure Boot trusts no others.  [default: the disk's own certificate]",
            metavar="DIR",
        ),
    ] = None,
    tpm: Annotated[bool, typer.Option("--tpm", help="Add a TPM 2.0, emulated by swtpm.")] = False,
    iso: Annotated[bool, typer.Option("--iso", help="Treat PATH as an ISO.")] = False,
    kernel: Annotated[
        bool, typer.Option("--kernel", help="Treat PATH as the prefix of a kernel and an initrd.")
    ] = False,
    squashfs: Annotated[
        bool,
        typer.Option("--squashfs", help="Treat PATH as the prefix of a kernel and a squashfs."),
    ] = False,
    arch: Annotated[
        str,
        typer.Option(help="Architecture.  [default: the kernel's, or this host's]"),
    ] = "",
    accel: Annotated[
        str,
        typer.Option(
            help="kvm, hvf or tcg, or a list separated by colons.  [default: the fastest that "
            "works; env: DOLMEN_QEMU_ACCEL, LINUXKIT_QEMU_ACCEL]",
            metavar="KIND",
        ),
    ] = "",
    program: Annotated[
        Path | None,
        typer.Option("--qemu", help="The path of QEMU.", metavar="PROGRAM"),
    ] = None,
    gui: Annotated[bool, typer.Option("--gui", help="Show the screen in a window.")] = False,
    usb: Annotated[bool, typer.Option("--usb", help="Add a USB controller.")] = False,
    device: Annotated[
        list[str] | None,
        typer.Option(help="Additional device, in the syntax of QEMU's -device; repeatable."),
    ] = None,
    detached: Annotated[
        bool, typer.Option("--detached", help="Exit, and leave the machine running.")
    ] = False,
    wait_for: Annotated[
        str,
        typer.Option(
            help="Wait until a line of the console matches, or with log:SERVICE:REGEX a line of a "
            "service.",
            metavar="REGEX",
        ),
    ] = "",
    wait_port: Annotated[
        list[int] | None,
        typer.Option(
            help="Wait until the guest accepts connections at this published port of the host; "
            "repeatable.",
            metavar="PORT",
        ),
    ] = None,
    timeout: Annotated[
        str,
        typer.Option(
            help="Time to wait for --wait-for and --wait-port, such as 90s or 5m.", metavar="TIME"
        ),
    ] = "300s",
    once: Annotated[
        bool, typer.Option("--once", help="End the machine as soon as it is ready.")
    ] = False,
    stop_timeout: Annotated[
        str,
        typer.Option(help="Time for the guest to shut down.", metavar="TIME"),
    ] = "20s",
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="Use no network for the build; images and Debian packages must be in the store.",
        ),
    ] = False,
    pull: Annotated[
        bool, typer.Option("--pull", help="Re-check registries for cached images before building.")
    ] = False,
    docker: Annotated[
        bool,
        typer.Option("--docker", help="Prefer images from the local Docker daemon for the build."),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print the result as JSON, and the console on standard error: how the machine "
            "ended, or with --detached its PID, ports and console log.",
        ),
    ] = False,
    insecure: Insecure = None,
    registry_creds: Creds = None,
    max_image_size: MaxImageSize = "",
) -> None:
    """Run an image in QEMU, with its console in the terminal.

    \b
    dolmen run qemu image.yml                        # build an image and run it
    dolmen run qemu image                            # image-kernel, image-initrd.img
    dolmen run qemu --publish 8080:80 --wait-port 8080 web.yml
    dolmen run qemu --disk data.qcow2,size=4G --mem 2G image.yml
    dolmen run qemu --wait-for 'login:' --timeout 90s --once image.yml   # a test
    dolmen run qemu --detached image.yml && dolmen logs -f
    dolmen run qemu --keys keys image-verified.img   # Secure Boot, a TPM, a verified root

    Ctrl-C shuts the guest down; a second Ctrl-C ends the machine at once. On exit all files of the
    machine are removed, except disks with a path and the files in --state.

    Additional exit codes: 3 the machine was not ready in time, 4 the machine ended, panicked or
    found no boot device, or a service ended five times in a row, before it was ready.
    """
    from assembler.machine import ImageKind, RunOptions, run, state_directory
    from dolmen.next_command import show_next_command
    from dolmen.run.images import image_argument
    from dolmen.run.report import RunReporter, failure_json, run_message
    from dolmen.run.terminal_console import SignalConsole, TerminalConsole

    if keys is not None and secure_boot_keys is not None:
        raise typer.BadParameter("--keys and --secure-boot-keys exclude each other")
    if iso and kernel:
        raise typer.BadParameter("--iso and --kernel exclude each other")
    settings = settings_of(ctx)
    options = RunOptions(
        name=name,
        state=state_directory(os.environ),
        kind=ImageKind.ISO if iso else ImageKind.KERNEL if kernel else None,
        squashfs=squashfs,
        architecture=arch,
        cpus=cpus,
        memory=mem,
        disks=tuple(disk or ()),
        snapshot=snapshot,
        ephemeral=ephemeral,
        machine_state=state,
        shares=tuple(virtiofs or ()),
        virtiofsd=virtiofsd,
        metadata=data,
        metadata_file=data_file,
        networking=networking,
        publish=tuple(publish or ()),
        segments=tuple(network or ()),
        ssh=ssh,
        uefi=uefi,
        firmware=fw,
        secure_boot=secure_boot,
        secure_boot_keys=secure_boot_keys or keys,
        tpm=tpm,
        accelerator=accel or text_of("run.accelerator"),
        qemu=program,
        gui=gui,
        usb=usb,
        devices=tuple(device or ()),
        detached=detached,
        wait_for=wait_for,
        wait_ports=tuple(wait_port or ()),
        timeout=parse_duration(timeout),
        once=once,
        stop_timeout=parse_duration(stop_timeout),
    )

    def build_options() -> BuildOptions:
        from assembler.build import BuildOptions
        from dolmen.package_options import environment_options
        from dolmen.sources import image_sources

        return BuildOptions(
            formats=("kernel+squashfs",) if squashfs else (),
            architecture=arch,
            keys=keys,
            sources=image_sources(
                settings,
                offline=offline,
                pull=pull,
                docker=docker,
                insecure=insecure,
                registry_creds=registry_creds,
                max_size=max_image_size,
            ),
            packages=environment_options,
            sbom=None,
            remember=False,
        )

    hint = "" if settings.quiet else run_message(_KEYS_HINT)
    console = SignalConsole() if detached else TerminalConsole(start_hint=hint, on_stderr=as_json)
    reporter = RunReporter(settings, console)
    image = image_argument(settings, paths or (), build_options)
    try:
        result = run(image, options, progress=reporter.emit, console=console)
    except DolmenError as error:
        if as_json:
            print_json({"name": name or None, **failure_json(error.diagnostics)})
        raise
    code = reporter.show_result(result)
    if as_json:
        print_json(result.as_json())
        raise typer.Exit(code)
    if result.running:
        print_line(result.name)
    if code in (0, 128 + signal.SIGINT):
        words = next_command(result, paths or (), ssh=ssh)
        show_next_command(settings, *words)
    raise typer.Exit(code)


def next_command(result: RunResult, paths: Sequence[str], *, ssh: bool) -> tuple[str, ...]:
    """Return the command that looks into a running machine, or that keeps what has run."""
    if result.running:
        return ("dolmen", "ssh", result.name) if ssh else ("dolmen", "logs", "-f", result.name)
    is_yaml = all(path.lower().endswith((".yml", ".yaml")) for path in paths)
    return ("dolmen", "build", *paths) if is_yaml else ()
