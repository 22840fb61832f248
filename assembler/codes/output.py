"""Codes of the stage "output": encoding, formats, output files."""

from assembler.codes import Code

BAD_COMPRESSION = Code(
    601,
    "Not a way of compressing",
    "Outputs are compressed with gzip, zstd, lz4, xz or not at all (none), perhaps with a "
    "level: `--compression zstd:19`. The kernel has to be configured to unpack what an initrd "
    "is compressed with (CONFIG_RD_GZIP and so on).",
)
TOO_LARGE = Code(
    602,
    "Something does not fit into the format",
    "An initrd holds files below 4 GiB with paths below 4096 bytes. Nothing is cut off "
    "silently: what does not fit ends the build before an output appears.",
)
BAD_FORMAT = Code(
    603,
    "There is no such output format, or it cannot be used this way",
    "`dolmen build --format help` lists the formats. Only formats of a single file can be "
    "written to a chosen path or to standard output.",
)
LOST_ATTRIBUTES = Code(
    604,
    "Extended attributes are lost in an initrd",
    "The cpio format of initrds has no room for extended attributes. Programs that have "
    "capabilities of their own (as ping has) lose them, and have to be run by root. Formats "
    "with a filesystem (kernel+squashfs, kernel+erofs) keep them.",
)
CANNOT_UNPACK = Code(
    605,
    "The kernel cannot unpack an initrd compressed this way",
    "The kernel's configuration, which the kernel image carries, lacks the option for this "
    "compression. The machine would stop with `Unable to mount root fs`. Choose another "
    "compression, or a kernel with the option.",
)
WORKER_LOST = Code(
    606,
    "A worker process ended unexpectedly",
    "The kernel ends processes when memory runs out; `dmesg` shows it. With `--jobs 1` no further "
    "processes are used. Nothing half-written was left behind.",
)
SOURCE_CHANGED = Code(
    607,
    "A file changed while it was being read",
    "The size of a file of this machine was not what it was when the build began. Build again when "
    "nothing writes to the file.",
)
NO_KERNEL = Code(
    608,
    "There is no kernel to write",
    "The format needs a kernel, and image.yml has no `kernel:` section with an image.",
)
TOO_SMALL = Code(
    609,
    "The disk is too small for what goes onto it",
    "The size asked for, as with `--size`, does not hold the kernel, the initrd and what belongs "
    "to the filesystem. The hint says what would do; without `--size` a disk is as large as it "
    "has to be, or as its format wants it.",
)
BAD_NAME = Code(
    610,
    "A file cannot have this name on the medium",
    "FAT and ISO filesystems allow fewer names than Linux: no `:` or `?`, no two names that differ "
    "in case alone.",
)
NO_BOOT_ASSET = Code(
    611,
    "A program that machines boot by is missing",
    "Formats that boot by themselves need programs that images do not bring: systemd's stub for "
    "UEFI, syslinux for a BIOS. They come from the package `bootloaders`, which is built of Debian "
    "packages if it is not in the store. `--bootloaders IMAGE` names another image "
    "with the same files.",
)
BAD_PROGRAM = Code(
    612,
    "Not a program that UEFI can start",
    "Firmware starts programs of the form PE/COFF. A kernel is one if it is built with "
    "CONFIG_EFI_STUB and not compressed as a whole; systemd's stub, which kernel and initrd are "
    "joined onto, comes from the package `bootloaders`.",
)
BAD_KEY = Code(
    613,
    "A key for Secure Boot cannot be used",
    "Programs are signed with an RSA key of 2048 bits or more and its certificate, both PEM files. "
    "`dolmen keys generate DIR` makes a set: PK and KEK say who may change what the firmware "
    "trusts, and db.key signs (`--secure-boot-key DIR/db.key --secure-boot-cert DIR/db.crt`). "
    "The passphrase of an encrypted key is asked for on a terminal, or taken from "
    "DOLMEN_SECURE_BOOT_PASSPHRASE.",
)
NO_PROGRAM = Code(
    614,
    "A program that makes filesystems is missing",
    "squashfs and erofs are made by mksquashfs (4.6 or newer) and mkfs.erofs (1.8 or newer). Where "
    "this machine has none, or older ones, those of the package `imagetools` are run out of the "
    "store. It is built of Debian packages if it is not there; `--imagetools IMAGE` "
    "names another image with the same files.",
)
PROGRAM_FAILED = Code(
    615,
    "A program that makes filesystems failed",
    "The message has its last lines. `--imagetools IMAGE` names an image with another version of "
    "it for a machine that has none of its own.",
)
NO_FILESYSTEM = Code(
    616,
    "The kernel cannot mount such a root filesystem",
    "A root filesystem on a disk is read by a driver of the kernel, which is built in or is one of "
    "its modules. `dolmen build --format kernel+initrd` needs none.",
)
NO_FIRMWARE = Code(
    623,
    "The firmware of a machine is missing",
    "A Raspberry Pi starts by firmware of its maker, which Dolmen does not bring: `--firmware "
    "IMAGE` names an image with bootcode.bin, start.elf, fixup.dat and the trees of devices, as "
    "Debian's package raspi-firmware and its kernels have them.",
)
BAD_KERNEL = Code(
    624,
    "The machine cannot start a kernel of this form",
    "The firmware of a Raspberry Pi starts an arm64 Image, as it is or compressed by gzip. "
    "`--decompress-kernel` unpacks kernels of other forms.",
)
BAD_INPUT_TAR = Code(
    640,
    "The tar of an earlier build cannot be used",
    "`--input-tar FILE` stands in for images that can no longer be had: their trees are taken from "
    "what `dolmen build --format tar` has written. The file's head records of which images, by "
    "their digests, its parts were made, and how the images are configured. An image is taken if "
    "it has the same name, its digest is none that the YAML or the store contradicts, its part is "
    "undamaged, and it is used in the same way (as init, volume or container). A tar of another "
    "program has no such record.",
)
NOT_SIGNED = Code(
    619,
    "It is not signed with the key that was asked for",
    "`dolmen inspect --cert FILE` fails unless a program for UEFI, by itself or on a disk or CD, "
    "has a signature that holds and was made with the key of that certificate. Without --cert all "
    "signatures are shown.",
)
NOT_UNDERSTOOD = Code(
    618,
    "A file is of no known kind",
    "`dolmen inspect` knows what `dolmen build` writes, and what is like it: disks and their "
    "containers, ISOs, programs for UEFI, kernels, initrds, archives, and FAT, squashfs and erofs "
    "filesystems. It looks at the content, not at the name.",
)
CANNOT_LOAD = Code(
    620,
    "A boot loader cannot load this system",
    "For a BIOS, syslinux and isolinux load a kernel that is a bzImage, an initrd below the "
    "address that the kernel names (2 GiB, as a rule), and a command line of at most 2047 bytes. "
    "Machines need memory for the initrd and for what is in it.",
)
SAME_FILE = Code(
    621,
    "Two formats would write the same file",
    "Names of outputs are LinuxKit's, and some of its formats share one: `vhd` and `dynamic-vhd` "
    "are NAME.vhd, `iso-bios` and `kernel+iso` are NAME.iso. Build them one after the other, with "
    "another `--name` or `--dir`.",
)
