"""`dolmen run qemu`: an image in QEMU, with its console in the terminal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dolmen.console import say
from dolmen.lazy import command_app
from dolmen.registries import Creds, Insecure
from dolmen.run.times import seconds
from dolmen.settings import env_or_linuxkit, settings_of

if TYPE_CHECKING:
    from assembler.build import BuildOptions

app = command_app()
_DISK_SIZE = 1 << 30
_KEYS_HINT = "Ctrl-C ends it; for the guest: Ctrl-] and c is Ctrl-C, Ctrl-] twice Ctrl-]"


@app.command()
def qemu(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH",
            help="YAML files, which are built first; or the prefix of a kernel and initrd, an ISO, "
            "or a disk.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(help="The machine's name.  [default: after the image]", metavar="NAME")
    ] = "",
    cpus: Annotated[int, typer.Option(help="Number of CPUs.", metavar="N")] = 1,
    mem: Annotated[str, typer.Option(help="Memory in MB, or as 2G.", metavar="SIZE")] = "1024",
    disk: Annotated[
        list[str] | None,
        typer.Option(
            help="A disk: [file=]PATH[,size=1G][,format=qcow2][,bus=scsi][,readonly=on]. It is "
            "made if it is not there; repeatable.",
            metavar="DISK",
        ),
    ] = None,
    snapshot: Annotated[
        bool, typer.Option("--snapshot", help="Forget at the end what is written to disks.")
    ] = False,
    ephemeral: Annotated[
        bool,
        typer.Option(
            "--ephemeral",
            help="Keep nothing: as --snapshot, and new disks, UEFI's variables and the TPM's state "
            "are gone with the machine; --state is only read.",
        ),
    ] = False,
    virtiofs: Annotated[
        list[str] | None,
        typer.Option(
            help="Share a directory; the guest mounts it by its name: mount -t virtiofs NAME /mnt. "
            "Without a name they are virtiofs0, virtiofs1 …; repeatable.",
            metavar="[NAME=]DIR",
        ),
    ] = None,
    virtiofsd: Annotated[
        Path | None,
        typer.Option(help="The program that shares directories.", metavar="PROGRAM"),
    ] = None,
    ssh: Annotated[
        bool,
        typer.Option(
            "--ssh",
            help="Forward a port to the guest's ssh, and give it a new key as metadata: see "
            "`dolmen ssh`.",
        ),
    ] = False,
    data: Annotated[
        str, typer.Option(help="Metadata for the guest, as a text.", metavar="TEXT")
    ] = "",
    data_file: Annotated[
        Path | None, typer.Option(help="Metadata for the guest, from a file.", metavar="FILE")
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            help="Keep disks without a file of their own, UEFI's variables and the TPM's state in "
            "DIR.",
            metavar="DIR",
        ),
    ] = None,
    networking: Annotated[
        str,
        typer.Option(
            help="user, none, tap[,DEVICE] or bridge,DEVICE, perhaps with `,nat`; devices that are "
            "not there are made, if you may.",
            metavar="MODE",
        ),
    ] = "user",
    publish: Annotated[
        list[str] | None,
        typer.Option(
            help="Make a port of the guest reachable: [ADDRESS:]HOST:GUEST[/udp]; repeatable.",
            metavar="PORT",
        ),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            help="Connect a further card to the private segment NAME, which other machines of this "
            "host share; repeatable.",
            metavar="NAME",
        ),
    ] = None,
    uefi: Annotated[bool, typer.Option("--uefi", help="Boot by UEFI.")] = False,
    fw: Annotated[
        Path | None,
        typer.Option(help="The UEFI firmware, if none is found or another wanted.", metavar="FILE"),
    ] = None,
    secure_boot: Annotated[
        bool,
        typer.Option(
            "--secure-boot", help="Boot by UEFI, and only what Microsoft's keys have signed."
        ),
    ] = False,
    secure_boot_keys: Annotated[
        Path | None,
        typer.Option(
            help="As --secure-boot, with the certificates PK, KEK and db of DIR instead.",
            metavar="DIR",
        ),
    ] = None,
    tpm: Annotated[bool, typer.Option("--tpm", help="Have a TPM 2.0 (by swtpm).")] = False,
    iso: Annotated[
        bool, typer.Option("--iso", help="It is an ISO, whatever it looks like.")
    ] = False,
    kernel: Annotated[
        bool, typer.Option("--kernel", help="It is the prefix of a kernel and an initrd.")
    ] = False,
    squashfs: Annotated[
        bool, typer.Option("--squashfs", help="It is the prefix of a kernel and a squashfs.")
    ] = False,
    arch: Annotated[
        str,
        typer.Option(help="The architecture.  [default: the kernel's, or this machine's]"),
    ] = "",
    accel: Annotated[
        str,
        typer.Option(
            help="kvm, hvf or tcg, or several with colons.  [default: the fastest that works; "
            "env: DOLMEN_QEMU_ACCEL, LINUXKIT_QEMU_ACCEL]",
            metavar="KIND",
        ),
    ] = "",
    program: Annotated[
        Path | None,
        typer.Option("--qemu", help="The program to use.", metavar="PROGRAM"),
    ] = None,
    gui: Annotated[bool, typer.Option("--gui", help="Show the screen in a window.")] = False,
    usb: Annotated[bool, typer.Option("--usb", help="Have a USB controller.")] = False,
    device: Annotated[
        list[str] | None,
        typer.Option(help="A further device, as QEMU's -device takes it; repeatable."),
    ] = None,
    detached: Annotated[
        bool, typer.Option("--detached", help="Return, and leave the machine running.")
    ] = False,
    wait_for: Annotated[
        str,
        typer.Option(help="Wait until a line of the console matches.", metavar="REGEX"),
    ] = "",
    wait_port: Annotated[
        list[int] | None,
        typer.Option(
            help="Wait until the guest accepts connections at a published port, by its number "
            "here; repeatable.",
            metavar="PORT",
        ),
    ] = None,
    timeout: Annotated[
        str,
        typer.Option(help="How long to wait for it, as 90s or 5m.", metavar="TIME"),
    ] = "300s",
    once: Annotated[
        bool, typer.Option("--once", help="End the machine when what is waited for has come.")
    ] = False,
    stop_timeout: Annotated[
        str,
        typer.Option(help="How long the guest may take to end when asked.", metavar="TIME"),
    ] = "10s",
    offline: Annotated[
        bool, typer.Option("--offline", help="Build without opening a socket.")
    ] = False,
    pull: Annotated[
        bool, typer.Option("--pull", help="Re-check registries for cached images before building.")
    ] = False,
    docker: Annotated[
        bool, typer.Option("--docker", help="Build with images of the local Docker daemon first.")
    ] = False,
    insecure: Insecure = None,
    registry_creds: Creds = None,
) -> None:
    """Run an image in QEMU, with its console in the terminal.

    \b
    dolmen run qemu image.yml                        # build it, then run it
    dolmen run qemu image                            # image-kernel, image-initrd.img
    dolmen run qemu --publish 8080:80 --wait-port 8080 web.yml
    dolmen run qemu --disk data.qcow2,size=4G --mem 2G image.yml
    dolmen run qemu --wait-for 'login:' --timeout 90s --once image.yml   # a test
    dolmen run qemu --detached image.yml && dolmen logs -f

    Ctrl-C ends the machine: the guest is asked first, a second one ends it at once.
    Nothing is left behind but disks with files of their own, and what --state keeps.

    Exit codes besides the usual: 3 what was waited for did not come in time,
    4 the machine ended, or its firmware or kernel gave up, before it came.
    """
    from assembler.machine import ImageKind, RunOptions, run, state_directory
    from dolmen.run.images import image_argument
    from dolmen.run.report import RunReporter, run_message
    from dolmen.run.terminal_console import SignalConsole, TerminalConsole

    if iso and kernel:
        raise typer.BadParameter("--iso and --kernel contradict each other")
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
        secure_boot_keys=secure_boot_keys,
        tpm=tpm,
        accelerator=accel or env_or_linuxkit(os.environ, "QEMU_ACCEL"),
        qemu=program,
        gui=gui,
        usb=usb,
        devices=tuple(device or ()),
        detached=detached,
        wait_for=wait_for,
        wait_ports=tuple(wait_port or ()),
        timeout=seconds(timeout),
        once=once,
        stop_timeout=seconds(stop_timeout),
    )

    def build_options() -> BuildOptions:
        from assembler.build import BuildOptions
        from dolmen.package_options import environment_options
        from dolmen.sources import image_sources

        return BuildOptions(
            formats=("kernel+squashfs",) if squashfs else (),
            architecture=arch,
            disk_size=_DISK_SIZE,
            sources=image_sources(
                settings,
                offline=offline,
                pull=pull,
                docker=docker,
                insecure=insecure,
                registry_creds=registry_creds,
            ),
            packages=environment_options,
            sbom=None,
            remember=False,
        )

    hint = "" if settings.quiet else run_message(_KEYS_HINT)
    console = SignalConsole() if detached else TerminalConsole(start_hint=hint)
    reporter = RunReporter(settings, console)
    image = image_argument(settings, paths or (), build_options)
    result = run(image, options, progress=reporter.emit, console=console)
    code = reporter.show_result(result)
    if result.running:
        say(result.name)
    raise typer.Exit(code)
