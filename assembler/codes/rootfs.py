"""Codes of the stage "rootfs": planning the root filesystem."""

from assembler.codes import Code

BAD_ID = Code(
    501,
    "A user or group ID is neither a number nor a known name",
    "`uid`, `gid` and `additionalGids` accept a number from 0 to 4294967295, `root`, or the name "
    "of a container of onboot, onshutdown or services: each container has an ID, counted from "
    "100. A number in quotes is a name, so remove the quotes. Names in /etc/passwd of an image "
    "are not looked up.",
)
UNKNOWN_VOLUME = Code(
    502,
    "A volume is used that image.yml does not define",
    "The source of a bind that does not begin with / is the name of a volume in the section "
    "`volumes`. A path of the root filesystem begins with /.",
)
READONLY_VOLUME = Code(
    503,
    "A read-only volume is bound writable",
    "The volume has `readonly: true`. Add `ro` to the options of the bind (`data:/data:ro`), or "
    "remove `readonly` from the volume.",
)
BAD_MOUNT = Code(
    504,
    "A bind, tmpfs or mount is invalid",
    "An entry of `binds` is SOURCE:DESTINATION[:OPTION,...], an entry of `tmpfs` is "
    "DESTINATION[:OPTION,...], and an entry of `mounts` has destination, type, source and options. "
    "A destination is an absolute path in the container.",
)
BAD_CAPABILITY = Code(
    505,
    "An unknown capability",
    "Capabilities are written in upper case with the prefix CAP_, such as CAP_NET_ADMIN. The "
    "single entry `all` means all capabilities, the single entry `none` an empty list.",
)
BAD_LIMIT = Code(
    506,
    "An invalid resource limit (rlimit)",
    "An entry of `rlimits` is NAME,SOFT,HARD, such as nofile,1024,4096. Numbers are not negative, "
    "`unlimited` means no limit, and the soft limit is at most the hard one.",
)
BAD_DEVICE = Code(
    507,
    "A device of a container is invalid",
    "A device has an absolute path, a type (c for character, b for block, u for unbuffered, p for "
    'a pipe), major and minor numbers, and a mode as octal text ("0660"). The path `all` creates '
    "no device, but allows all devices of the type.",
)
BAD_RESOURCE = Code(
    508,
    "A resource setting is out of range",
    "The names and ranges under `resources` are those of the OCI runtime specification; see "
    "docs/layout.md.",
)
BAD_NAME = Code(
    509,
    "The name of a container or volume cannot be the name of a directory",
    "The name of a container is a directory below containers/ and the ID of the container at run "
    "time. It cannot be empty, . or .., and cannot contain slashes or control characters.",
)
BAD_FILE = Code(
    510,
    "An entry of `files` is incomplete or has conflicting keys",
    "Each entry has a path and exactly one of `directory: true`, `symlink`, `contents`, `source`, "
    "`metadata`.",
)
BAD_MODE = Code(
    511,
    "An invalid file mode",
    'A mode is octal text of at most four digits, in quotes: "0644", "0755", "1777".',
)
BAD_SOURCE = Code(
    512,
    "A local file named by `source` cannot be used",
    "`source` is the path of a regular file on this machine, relative to the current directory "
    "(not to the YAML file); ~/ is your home directory. With `optional: true` an entry is skipped "
    "if its source does not exist.",
)
KERNEL_FILE_MISSING = Code(
    514,
    "The kernel image lacks a file",
    "A kernel image has in its root directory the kernel, a tar archive of its modules, and "
    "perhaps microcode; `binary`, `tar` and `ucode` give their names (default: kernel, "
    "kernel.tar, no microcode). `tar: none` means that there are no modules.",
)
KERNEL_FILE_NOT_REGULAR = Code(
    515,
    "The kernel, its modules or its microcode is not a regular file",
    "The file that `binary`, `tar` or `ucode` names is a directory, a link or a device in the "
    "image.",
)
NOT_COMPRESSED = Code(
    517,
    "The kernel cannot be decompressed",
    "`--decompress-kernel` accepts kernels compressed with gzip, zstd, xz, lzma, lz4 or bzip2: as "
    "a whole file (Image.gz), in a bzImage of boot protocol 2.08 or newer, or in an EFI zboot "
    "image. Remove the option for an uncompressed kernel.",
)
BAD_VOLUME = Code(
    518,
    "A volume cannot be created",
    "A volume with `format: oci` has the image for all of `platforms`, which must be in the index "
    "of the image. Platforms are written like linux/arm64 or linux/arm/v7.",
)
NO_COMMAND = Code(
    519,
    "A container has no command",
    "Neither image.yml, nor the label of the image, nor the image's Entrypoint and Cmd have a "
    "command: the container cannot start. Set its `command`.",
)
USER_IGNORED = Code(
    520,
    "The user of an image has no effect",
    "As in LinuxKit, a container runs as root unless image.yml or the image's label "
    "org.mobyproject.config has a uid. `uid: 0` runs it as root without this warning.",
)
NO_EFFECT = Code(
    521,
    "A value without effect",
    "Dolmen accepts the value because LinuxKit does. Remove it, or follow the hint of the message.",
)
BLOCKED_PATH = Code(
    530,
    "A path of the system cannot exist",
    "The directories of a path may be symbolic links of images or of `files`: they are followed "
    "inside the root filesystem. An absolute target begins at the root, and `..` does not leave "
    "it. A path through a file or through links that lead in a circle is an error, and so is a "
    "file or a link instead of a directory that is not empty.",
)
REPLACED_LINK = Code(
    531,
    "A directory replaces a symbolic link of an image",
    "An entry of `files` replaces what has the same path. A directory at the path of a link hides "
    "everything behind the link. Write the path that the link leads to, or a path below the link.",
)
PROGRAM_MISSING = Code(
    532,
    "The program of a container is not in its image",
    "The first word of `command`, or of the image's Entrypoint and Cmd, is a path in the image or "
    "a name that is searched in the directories of PATH. Links are followed inside the image. The "
    "container cannot start without it. Below a bind, mount or tmpfs nothing is checked.",
)
NOT_BOOTABLE = Code(
    533,
    "The system lacks a kernel, an init or a container runtime",
    "To boot, a system needs a kernel (section `kernel`), a program that the kernel starts "
    "(/init in an initrd, from an image of `init`), and, for containers, a runtime such as "
    "containerd, runc or crun in an image of `init`. An initrd that is only joined with others "
    "needs none of them.",
)
UNREADABLE_FILE = Code(
    534,
    "The user of a container cannot read a file that it binds",
    "A file of `files` has the mode 0600 and the owner root unless it says otherwise. A container "
    "with a `uid` reads it only if `mode`, `uid` or `gid` of the file allow that. For a bound "
    "directory, this is a warning if the container can read no file of `files` in it.",
)
FIREWALL_NOT_LOADED = Code(
    535,
    "The rules of the firewall and what loads them do not fit together",
    "`firewall` in image.yml makes /etc/nftables.conf, and a container of `onboot` loads it: that "
    "of the package `firewall`, before the one that configures the network. Without rules the "
    "container fails, and all ports are open; without a container nothing loads the rules.",
)
BAD_EXPOSED_PORT = Code(
    536,
    "An image exposes something that is not a port",
    "ExposedPorts of an image's config has ports such as 80/tcp. The firewall opens the others; "
    "`expose` of the service replaces the list.",
)
BAD_SBOM = Code(
    524,
    "An SBOM attached to an image cannot be read",
    "The document attached to the image is not SPDX 2 in JSON, or is far too large. `--no-sbom` "
    "builds without an SBOM.",
)
