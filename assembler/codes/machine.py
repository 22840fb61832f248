"""Codes of the stage "machine": running images, and boot failures."""

from assembler.codes import Code

NOT_AN_IMAGE = Code(
    1001,
    "A machine cannot boot this",
    "`dolmen run qemu` accepts a YAML file (which it builds first), the prefix of a kernel, an "
    "initrd and a command line (`image` for image-kernel, image-initrd.img and image-cmdline), or "
    "of a kernel and a squashfs or erofs, an ISO, or a raw, qcow2, VHD or VMDK disk. It recognizes "
    "them by their content, not by their name.",
)
NO_FIRMWARE = Code(
    1002,
    "There is no UEFI firmware for the machine",
    "Booting by UEFI, and booting a disk or ISO on arm64, needs firmware that QEMU does not "
    "include. The message names the Debian package that has it; `--fw FILE` uses another file.",
)
NO_ACCELERATOR = Code(
    1003,
    "The accelerator cannot be used",
    "The accelerator does not work on this machine, or not for the architecture of the image. "
    "Without `--accel` Dolmen uses the fastest one that works; `dolmen doctor` shows why KVM does "
    "not work.",
)
TOO_LITTLE_MEMORY = Code(
    1004,
    "The machine has too little memory for the image",
    "The kernel unpacks the initrd into memory, at most one half of it. With less memory, files "
    "are missing or the kernel panics. Give the machine more: `--mem 2048` is 2 GB. A system "
    "needs about 49 MB, the initrd, and twice its unpacked size to come up; less is a warning.",
)
BAD_DISK = Code(
    1005,
    "A disk cannot be created or used",
    "A disk is written as `--disk file=data.img,size=4G,format=qcow2`. An existing file is used "
    "unchanged; a missing one is created with this size. Sizes are numbers of MB, or end in M, G "
    "or T.",
)
BAD_PORT = Code(
    1006,
    "A port cannot be published",
    "Ports are written as `--publish HOST:GUEST`, with an optional `/udp` at the end and an "
    "optional address of the host in front: `--publish 0.0.0.0:8080:80/tcp`. Without an address "
    "only the host itself can connect. A port that is in use cannot be published.",
)
CANNOT_START = Code(
    1007,
    "QEMU did not start the machine",
    "The message has the output of QEMU. `dolmen -v run qemu` prints the command line.",
)
MACHINE_NOT_FOUND = Code(
    1008,
    "The machine does not exist",
    "`dolmen ps` lists the running machines, and the stopped ones whose console output is kept.",
)
MACHINE_BUSY = Code(
    1009,
    "The machine's console is in use",
    "One session at a time can attach to the console. `dolmen logs -f NAME` shows the output in "
    "any number of terminals.",
)
WAIT_FAILED = Code(
    1010,
    "The wait failed",
    "The time of `--timeout` ended before the console or the service matched `--wait-for` or the "
    "port of `--wait-port` answered, or a service ended five times in a row, each time within a "
    "minute. "
    "The message says which condition was not met, and has the last lines of the console or the "
    "service and, if it is known, the cause.",
)
MACHINE_ENDED = Code(
    1011,
    "The machine ended too early",
    "The machine ended, panicked or found no boot device before the end of the wait. The message "
    "has the last lines of the console and, if it is known, the cause.",
)
BAD_METADATA = Code(
    1012,
    "The metadata cannot be passed to the machine",
    "Metadata is a text or a file of at most 16 MB. The guest finds it on a CD, in the file "
    "`config`.",
)
DEVICE_NOT_FOUND = Code(
    1013,
    "A network device does not exist",
    "`--networking tap,DEVICE` and `bridge,DEVICE` connect the machine to a device of the host, "
    "which is created if it does not exist. Creating it requires root: the message shows how.",
)
BAD_SHARE = Code(
    1014,
    "A directory cannot be shared with the machine",
    "`--virtiofs NAME=DIR` shares a directory of the host with the guest, which mounts it by its "
    "name: `mount -t virtiofs NAME /mnt`. This needs the program virtiofsd, and CONFIG_VIRTIO_FS "
    "in the guest's kernel, which Debian's kernels have.",
)
BAD_KEYS = Code(
    1015,
    "The keys for Secure Boot cannot be used",
    "`--secure-boot-keys DIR` writes the certificates PK.crt, KEK.crt and db.crt of a directory, "
    "in PEM or DER, to the variables of the machine's firmware, which then only starts programs "
    "that are signed by the key of db. Without the option Microsoft's keys are used.",
)
SSH_UNAVAILABLE = Code(
    1016,
    "The machine cannot be reached by ssh",
    "`dolmen run qemu --ssh` forwards a port of the host to the guest's ssh, generates a key, and "
    "passes it to the guest as metadata. In the image, a service of the package sshd must listen, "
    "and one of the package metadata must install the key.",
)
AGENT_UNAVAILABLE = Code(
    1017,
    "The agent in the guest does not answer",
    "`dolmen exec`, `dolmen logs --service` and `--wait-for log:` talk to the agent in Dolmen's "
    "init. It runs only if the image allows it, with `dolmen.agent` in the kernel's command line, "
    "and needs the module virtio_console, which `kernel/virtual` has. docs/agent.md describes it.",
)
AGENT_REFUSED = Code(
    1018,
    "The guest refused a request",
    "The agent in the guest could not read the log or run the command: for example, there is no "
    "such service, it does not run, or its image does not have the program. The message is the "
    "guest's.",
)
NO_ROOT = Code(
    1021,
    "The kernel found no root filesystem",
    "The kernel has no initrd that it can use, and no `root=` with a disk that it can read. Check "
    "that the initrd is one of the boot files, that `root=` in the command line names the disk, "
    "and that the drivers of the disk and the filesystem are built into the kernel.",
)
BROKEN_INITRD = Code(
    1022,
    "The kernel could not unpack the initrd",
    "The initrd is damaged or truncated, or the kernel does not support its compression "
    "(CONFIG_RD_GZIP, CONFIG_RD_ZSTD …). Build it again, or choose a supported `--compression`.",
)
OUT_OF_MEMORY = Code(
    1023,
    "The machine ran out of memory",
    "The kernel unpacks the initrd into memory, and programs need memory, too. Give the machine "
    "more with `--mem`, or make the system smaller.",
)
NO_INIT = Code(
    1024,
    "The kernel cannot start an init",
    "The kernel starts /init of an initrd, or the program that `init=` or `rdinit=` names. An "
    "image under `init:` in image.yml must have it, for the machine's architecture, with its "
    "libraries or its interpreter.",
)
INIT_ENDED = Code(
    1025,
    "Init ended",
    "The first process must never end. The lines of the console before the panic show the reason; "
    "the exit code is a signal number (0x0b: it crashed) or, above 0xff, its own exit code.",
)
WRONG_MODULES = Code(
    1026,
    "The kernel modules do not match the kernel",
    "The modules of the system are for another kernel, or are missing. Take kernel and modules "
    "from the same kernel image, and do not overwrite /lib/modules with the files of another "
    "image.",
)
NO_CONSOLE = Code(
    1027,
    "The serial console has no output",
    "The machine may still work. The kernel writes to the device of `console=` in its command "
    "line: ttyS0 on amd64 and riscv64, ttyAMA0 on arm64, ttysclp0 on s390x.",
)
NOT_BOOTABLE = Code(
    1028,
    "The firmware found no boot loader",
    "The disk or ISO has no boot loader for this firmware: images for UEFI need `--uefi`, images "
    "for a BIOS must be started without it.",
)
SECURE_BOOT_REFUSED = Code(
    1029,
    "Secure Boot refused the image",
    "The image is not signed by a key that the firmware trusts. Sign it with one (`dolmen keys "
    "generate` creates keys, `--secure-boot-keys` adds them to the firmware), or start the machine "
    "without Secure Boot.",
)
KERNEL_PANIC = Code(
    1030,
    "The kernel panicked",
    "The line after `Kernel panic` has the reason; the lines above it show what happened before.",
)
EMULATOR_FAULT = Code(
    1031,
    "The emulated machine failed, not the image",
    "Without KVM QEMU emulates all instructions, and on a loaded host the guest's timer can fail. "
    "Start the machine again; `no_timer_check` in the kernel's command line avoids one cause.",
)
SERVICE_FAILED = Code(
    1032,
    "A container of the system failed",
    "The console names the container that did not start or ended with an error. Its own output, on "
    "the console or in /var/log, shows the reason.",
)
