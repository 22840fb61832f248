"""Codes of the stage "output": encoding, formats, output files."""

from assembler.codes import Code

BAD_COMPRESSION = Code(
    601,
    "An invalid compression",
    "Outputs are compressed with gzip, zstd, lz4 or xz, or are uncompressed (none). A level can "
    "follow: `--compression zstd:19`. The kernel must support the compression of an initrd "
    "(CONFIG_RD_GZIP and so on).",
)
TOO_LARGE = Code(
    602,
    "The content does not fit into the format",
    "An initrd can have files below 4 GiB with paths below 4096 bytes. Dolmen never truncates: the "
    "build ends before it writes an output.",
)
BAD_FORMAT = Code(
    603,
    "An unknown output format, or an unsupported use of a format",
    "`dolmen build --format help` lists the formats. Only formats of a single file can be written "
    "to a chosen path or to standard output.",
)
LOST_ATTRIBUTES = Code(
    604,
    "Extended attributes are lost in an initrd",
    "The cpio format of initrds has no extended attributes. Programs with file capabilities, such "
    "as ping, lose them and must run as root. Formats with a filesystem (kernel+squashfs, "
    "kernel+erofs) keep them.",
)
CANNOT_UNPACK = Code(
    605,
    "The kernel cannot unpack an initrd with this compression",
    "The configuration of the kernel, which the kernel image has, lacks the option for this "
    "compression. The boot would end with `Unable to mount root fs`. Choose another compression, "
    "or a kernel with the option.",
)
WORKER_DIED = Code(
    606,
    "A worker process ended unexpectedly",
    "The kernel kills processes when memory runs out; `dmesg` shows this. `--jobs 1` uses no "
    "worker processes. No partial output was left behind.",
)
SOURCE_CHANGED = Code(
    607,
    "A file changed while it was read",
    "The size of a local file has changed since the build began. Build again when no program "
    "writes to the file.",
)
NO_KERNEL = Code(
    608,
    "There is no kernel to write",
    "The format needs a kernel, but image.yml has no `kernel:` section with an image.",
)
TOO_SMALL = Code(
    609,
    "The disk is too small for its content",
    "The disk of this size (`--size`) does not hold the kernel, the initrd and the structures of "
    "the filesystem. The hint has a sufficient size; without `--size` a disk is as large as "
    "necessary, or as its format requires.",
)
BAD_NAME = Code(
    610,
    "The filesystem does not allow the name of a file",
    "FAT and ISO filesystems allow fewer names than Linux: no `:` or `?`, and no two names that "
    "differ only in case.",
)
NO_BOOT_ASSET = Code(
    611,
    "A boot loader is missing",
    "Bootable formats need programs that images do not have: systemd's stub for UEFI, syslinux for "
    "a BIOS. They come from the package `bootloaders`, which Dolmen builds from Debian packages if "
    "the store does not have it. `--bootloaders IMAGE` names another image with the same files.",
)
BAD_PROGRAM = Code(
    612,
    "A file is not a UEFI program",
    "Firmware starts programs in the format PE/COFF. A kernel is such a program if it is built "
    "with CONFIG_EFI_STUB and is not compressed as a whole. systemd's stub, which is joined with "
    "kernel and initrd, comes from the package `bootloaders`.",
)
BAD_KEY = Code(
    613,
    "A key for Secure Boot or for enclave images cannot be used",
    "Programs are signed with an RSA key of 2048 bits or more and its certificate, both PEM files. "
    "`dolmen keys generate DIR` creates a set: PK and KEK control who may change the keys that the "
    "firmware trusts, and db.key signs (`--secure-boot-key DIR/db.key --secure-boot-cert "
    "DIR/db.crt`). The passphrase of an encrypted key is read from the terminal or from "
    "DOLMEN_SECURE_BOOT_PASSPHRASE. Enclave images are signed with an ECDSA key on the curve "
    "P-384, P-256 or P-521, which must not be encrypted.",
)
NO_PROGRAM = Code(
    614,
    "A program that makes filesystems is missing",
    "mksquashfs (4.6 or newer) and mkfs.erofs (1.8 or newer) make squashfs and erofs. If this "
    "machine does not have them, Dolmen runs those of the package `imagetools` out of the store, "
    "and builds that package from Debian packages if necessary. `--imagetools IMAGE` names another "
    "image with the same files.",
)
PROGRAM_FAILED = Code(
    615,
    "A program that makes filesystems failed",
    "The message has the last lines that the program printed. On a machine without such a program, "
    "`--imagetools IMAGE` names an image with another version of it.",
)
NO_FILESYSTEM = Code(
    616,
    "The kernel cannot mount this type of root filesystem",
    "The kernel needs a driver, built in or as a module, to read a root filesystem on a disk. "
    "`dolmen build --format kernel+initrd` needs none.",
)
UNKNOWN_FILE_KIND = Code(
    618,
    "A file of an unknown kind",
    "`dolmen inspect` recognizes the outputs of `dolmen build` and similar files: disks and disk "
    "containers, ISOs, UEFI programs, kernels, initrds, enclave images, archives, and FAT, "
    "squashfs and erofs filesystems. It looks at the content, not at the name.",
)
NOT_SIGNED = Code(
    619,
    "A file is not signed with the key",
    "`dolmen inspect --cert FILE` fails unless a UEFI program, as a file or on a disk or CD, has a "
    "valid signature by the key of this certificate. Without --cert it shows all signatures.",
)
LOADER_LIMIT = Code(
    620,
    "A boot loader cannot load this system",
    "On a BIOS, syslinux and isolinux load a bzImage kernel, an initrd below the address limit of "
    "the kernel (usually 2 GiB), and a command line of at most 2047 bytes. The machine needs "
    "memory for the initrd and its content. A Nitro Enclave takes a command line of at most 2047 "
    "bytes.",
)
OUTPUT_CONFLICT = Code(
    621,
    "Two formats would write the same file",
    "Outputs have LinuxKit's names, and some formats share one: `vhd` and `dynamic-vhd` are "
    "NAME.vhd, `iso-bios` and `kernel+iso` are NAME.iso. Build them one after the other, with "
    "another `--name` or `--dir`.",
)
NO_FIRMWARE = Code(
    623,
    "The firmware of a machine is missing",
    "A Raspberry Pi boots with firmware of its vendor, which Dolmen does not include: `--firmware "
    "IMAGE` names an image with bootcode.bin, start.elf, fixup.dat and the device trees, such as "
    "those of Debian's package raspi-firmware and its kernels.",
)
BAD_KERNEL = Code(
    624,
    "The machine cannot boot a kernel of this format",
    "The firmware of a Raspberry Pi boots an arm64 Image, uncompressed or compressed with gzip. "
    "`--decompress-kernel` decompresses other formats. A Nitro Enclave (format `eif`) boots a "
    "bzImage on amd64, and an Image on arm64. Monitors of small machines (format `microvm`) boot a "
    "vmlinux with CONFIG_PVH on amd64, and an Image on arm64. Both formats unpack the kernel "
    "themselves.",
)
DAMAGED_SEGMENT = Code(
    625,
    "A segment of the store was damaged",
    "A segment is an encoded part of an image that later builds use again (docs/segments.md). Its "
    "content no longer matches its checksum: the power failed before it was on the disk, or the "
    "disk or the memory has changed it. A build encodes the part again, so its output is right. If "
    "this happens repeatedly, check the disk and the memory of the machine.",
)
BAD_INPUT_TAR = Code(
    640,
    "The tar of an earlier build cannot be used",
    "`--input-tar FILE` replaces images that are no longer available: their files are taken from "
    "an output of `dolmen build --format tar`. The head of the file records the digests and "
    "configs of its images. An image is taken from it if it has the same name, if its digest does "
    "not contradict the YAML or the store, if its part is undamaged, and if it is used in the "
    "same way (as init, volume or container). A tar of another program has no such record.",
)
NOTHING_TO_SIGN = Code(
    641,
    "A signing key for a format without anything to sign",
    "`--secure-boot-key` signs programs for UEFI. Formats for BIOS, for boot loaders of others and "
    "archives have none, so that the output would be unsigned. `--enclave-key` signs the format "
    "`eif`.",
)
DAMAGED_FILE = Code(
    642,
    "A file that is cut short or corrupt",
    "`dolmen inspect` shows what it could read up to the damage, and where the damage is. Copy or "
    "build the file again.",
)

# Verified systems

NO_RELEASE_KEYS = Code(
    643,
    "A verified system has no keys",
    "Everything that a verified system starts is signed. `--keys DIR` names a directory with the "
    "key of Secure Boot's db (db.key, db.crt) and the key of updates (update.key).",
)
BAD_RELEASE_KEY = Code(
    644,
    "The key of updates cannot be used",
    "The index of updates is signed by ECDSA with the curve P-256 and SHA-256. `update.key` is a "
    "PEM file with such a private key.",
)
BAD_PRODUCT = Code(
    645,
    "A name that cannot be that of a product",
    "The name of the outputs is that of the product: the boot loader, updates and running systems "
    "tell by it what belongs together. It has letters, digits, `.`, `_` and `-`, at most 64.",
)
NO_VERITY = Code(
    646,
    "The system cannot open a verified root filesystem",
    "Before the root filesystem is there, the early initrd opens it: it needs Dolmen's init, and a "
    "kernel with dm-verity and the filesystem, built in or as modules.",
)
SLOT_TOO_SMALL = Code(
    647,
    "A slot is too small for the root filesystem",
    "The slots of a disk keep their sizes for all versions to come. The hint has a size that is "
    "enough for this version, and one that leaves room by the factor `growth`.",
)
ESP_TOO_SMALL = Code(
    648,
    "The EFI system partition is too small for updates",
    "During an update, the partition holds three kernels: the one that runs, the one to fall back "
    "to, and the new one. A partition without room for two more would end all updates.",
)
NO_DATA_FILESYSTEM = Code(
    649,
    "The filesystem of a partition for data cannot be made",
    "vfat has only files and directories, no links or devices. The programs that make the others "
    "run on Linux.",
)
