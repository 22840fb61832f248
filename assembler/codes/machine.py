"""Codes of the stage "machine": running images, and why they do not boot."""

from assembler.codes import Code

NOT_AN_IMAGE = Code(
    1001,
    "This is nothing that a machine can boot",
    "`dolmen run qemu` takes a YAML file (which it builds first), the prefix of a kernel, an "
    "initrd and a command line (`image` for image-kernel, image-initrd.img and image-cmdline), an "
    "ISO, a raw disk or a qcow2 disk. Which of them it is, is seen from the content, not from "
    "the name.",
)
NO_FIRMWARE = Code(
    1002,
    "There is no UEFI firmware for the machine",
    "Booting by UEFI, and any disk or ISO on arm64, needs a firmware that QEMU does not bring "
    "along. The message names the Debian package that has it; `--fw FILE` uses another one.",
)
NO_ACCELERATOR = Code(
    1003,
    "The accelerator cannot be used",
    "The accelerator asked for does not work on this machine, or not for the image's architecture. "
    "Without `--accel` the fastest one that really works is used; `dolmen doctor` tells what is "
    "wrong with KVM.",
)
TOO_LITTLE_MEMORY = Code(
    1004,
    "The machine's memory is too small for the image",
    "The initrd is unpacked into memory, where it may fill at most one half. With less, files are "
    "missing or the kernel ends with a panic. Give the machine more: `--mem 2048` is 2 GB.",
)
BAD_DISK = Code(
    1005,
    "A disk cannot be made or used",
    "A disk is written as `--disk file=data.img,size=4G,format=qcow2`. A file that exists is used "
    "as it is; one that does not is made with the size given. Sizes are numbers of MB or end "
    "in M, G or T.",
)
BAD_PORT = Code(
    1006,
    "A port cannot be published",
    "Ports are written as `--publish HOST:GUEST`, perhaps with `/udp` at the end or an address of "
    "this machine in front: `--publish 0.0.0.0:8080:80/tcp`. Without an address only this machine "
    "reaches them. A port that something else listens to cannot be used.",
)
CANNOT_START = Code(
    1007,
    "QEMU did not start the machine",
    "The message shows what QEMU said. `dolmen -v run qemu` prints the command, to be tried by "
    "hand.",
)
NO_SUCH_MACHINE = Code(
    1008,
    "There is no such machine",
    "`dolmen ps` lists the machines that are running, and those that have ended and whose console "
    "is still kept.",
)
MACHINE_BUSY = Code(
    1009,
    "Something else has the machine's console",
    "One console at a time can be connected. `dolmen logs -f NAME` shows the output to any number.",
)
WAITED_IN_VAIN = Code(
    1010,
    "What was waited for did not come",
    "The time of `--timeout` was over before the console matched `--wait-for` or the port of "
    "`--wait-port` answered. The last lines of the console and, where it is known, the cause "
    "follow.",
)
MACHINE_ENDED = Code(
    1011,
    "The machine ended too early",
    "It ended, or its firmware or kernel gave up, before what was waited for came. The last lines "
    "of the console and, where it is known, the cause follow.",
)
BAD_METADATA = Code(
    1012,
    "The metadata cannot be given to the machine",
    "Metadata is a text or a file of at most 16 MB. The guest finds it on a CD, in the file "
    "`config`.",
)
NO_DEVICE = Code(
    1013,
    "A network device is not there",
    "`--networking tap,DEVICE` and `bridge,DEVICE` connect the machine to a device of this one, "
    "which is made if it is not there. Making one takes root: the message shows how.",
)
BAD_SHARE = Code(
    1014,
    "A directory cannot be shared with the machine",
    "`--virtiofs NAME=DIR` shares a directory of this machine with the guest, which mounts it by "
    "its name: `mount -t virtiofs NAME /mnt`. The work is done by the program virtiofsd; the "
    "guest's kernel needs CONFIG_VIRTIO_FS, which those of Debian have.",
)
BAD_KEYS = Code(
    1015,
    "The keys for Secure Boot cannot be used",
    "`--secure-boot-keys DIR` takes the certificates PK.crt, KEK.crt and db.crt of a directory, in "
    "PEM or DER, and puts them into the variables of the machine's firmware. It then starts only "
    "what is signed by the key of db. Without keys of one's own those of Microsoft are used.",
)
NO_SSH = Code(
    1016,
    "The machine cannot be reached by ssh",
    "`dolmen run qemu --ssh` forwards a port of this machine to the guest's ssh, makes a key, and "
    "gives it to the guest as metadata: in the image a service of the package sshd has to listen, "
    "and one of the package metadata has to put the key into its place.",
)
NO_ROOT = Code(
    1021,
    "The kernel found no root filesystem",
    "It was given neither an initrd that it could use nor a `root=` with a disk it can read. Check "
    "that the initrd belongs to the boot files, that `root=` in the command line names the disk, "
    "and that the kernel has the drivers of disk and filesystem built in.",
)
BROKEN_INITRD = Code(
    1022,
    "The kernel could not unpack the initrd",
    "The initrd is damaged, cut off, or compressed in a way that this kernel was not built for "
    "(CONFIG_RD_GZIP, CONFIG_RD_ZSTD …). Build it again; choose another `--compression` if "
    "the kernel lacks this one.",
)
OUT_OF_MEMORY = Code(
    1023,
    "The machine ran out of memory",
    "The initrd is unpacked into memory, and programs need some, too. Give the machine more with "
    "`--mem`, or make the system smaller.",
)
NO_INIT = Code(
    1024,
    "The system has no init that can be started",
    "The kernel starts /init of an initrd, or what `init=` or `rdinit=` names. image.yml needs an "
    "image under `init:` that brings it, made for the machine's architecture, together with the "
    "libraries or the interpreter it needs.",
)
INIT_ENDED = Code(
    1025,
    "Init ended",
    "The first process must never end. The lines of the console before the panic tell why it did; "
    "the exit code is a signal's number (0x0b: it crashed) or, above 0xff, its own exit code.",
)
WRONG_MODULES = Code(
    1026,
    "Kernel modules do not fit the kernel",
    "The modules in the system were made for another kernel, or are not there. Take both from the "
    "same kernel image, and do not overwrite /lib/modules with another image's.",
)
NO_CONSOLE = Code(
    1027,
    "Nothing came over the serial console",
    "The machine may be well and silent. The kernel writes where `console=` in its command line "
    "says: ttyS0 on amd64 and riscv64, ttyAMA0 on arm64.",
)
NOT_BOOTABLE = Code(
    1028,
    "The firmware found nothing to boot",
    "The disk or ISO has no boot loader for this firmware: images for UEFI need `--uefi`, those "
    "for the BIOS must be started without.",
)
SECURE_BOOT_REFUSED = Code(
    1029,
    "Secure Boot refused the image",
    "The image is not signed by a key that the firmware has. Sign it with one (`dolmen keys "
    "generate` makes keys, `--secure-boot-keys` gives them to the firmware), or start the machine "
    "without Secure Boot.",
)
KERNEL_PANIC = Code(
    1030,
    "The kernel panicked",
    "The line after `Kernel panic` says what the kernel could not go on with; what happened before "
    "is in the lines above it.",
)
EMULATOR_FAULT = Code(
    1031,
    "The emulated machine failed, and not the image",
    "Without KVM QEMU emulates every instruction, and a loaded host can make the guest's timer "
    "fail. Start it again; `no_timer_check` in the kernel's command line avoids one of the causes.",
)
SERVICE_FAILED = Code(
    1032,
    "A container of the system failed",
    "The console names the container that could not be started or ended with an error. Its own "
    "output, on the console or in /var/log, tells why.",
)
