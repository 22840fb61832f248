"""Codes of the stage "rootfs": laying the system out."""

from assembler.codes import Code

BAD_ID = Code(
    501,
    "A user or group id is neither a number nor a known name",
    "`uid`, `gid` and `additionalGids` take a number from 0 to 4294967295, `root`, or the name of "
    "a container of onboot, onshutdown or services: each of them has a number of its own, counted "
    "from 100. A number in quotes is a name, so leave the quotes out. Names from /etc/passwd of "
    "an image are not looked up.",
)
UNKNOWN_VOLUME = Code(
    502,
    "A volume is used that image.yml does not define",
    "A bind whose source does not begin with / means a volume of the section `volumes`. A path of "
    "the root filesystem begins with /.",
)
READONLY_VOLUME = Code(
    503,
    "A read-only volume is bound for writing",
    "The volume says `readonly: true`. Bind it with `ro` among its options (`data:/data:ro`), or "
    "take `readonly` from the volume.",
)
BAD_MOUNT = Code(
    504,
    "A bind, tmpfs or mount cannot be made sense of",
    "`binds` are written SOURCE:DESTINATION[:OPTION,...], `tmpfs` are written "
    "DESTINATION[:OPTION,...], `mounts` have destination, type, source and options. A destination "
    "is an absolute path in the container.",
)
BAD_CAPABILITY = Code(
    505,
    "A capability that Linux does not have",
    "Capabilities are written in capital letters with CAP_ in front, as CAP_NET_ADMIN; a single "
    "`all` stands for every one, a single `none` for an empty list.",
)
BAD_LIMIT = Code(
    506,
    "A resource limit (rlimit) cannot be made sense of",
    "`rlimits` are written NAME,SOFT,HARD, as nofile,1024,4096. Numbers are not negative, "
    "`unlimited` stands for none, and soft is at most hard.",
)
BAD_DEVICE = Code(
    507,
    "A device of a container cannot be made sense of",
    "A device has an absolute path, a type (c for character, b for block, u for unbuffered, p for "
    'a pipe), major, minor, and a mode as octal text ("0660"). The path `all` makes no device, '
    "but allows all devices of the type.",
)
BAD_RESOURCE = Code(
    508,
    "A resource setting is out of its range",
    "The names and ranges under `resources` are those of the OCI runtime specification; see "
    "docs/layout.md.",
)
BAD_NAME = Code(
    509,
    "The name of a container or volume cannot be the name of a directory",
    "A container's name is a directory below containers/ and the id the container runs by: it is "
    "not empty, not . or .., and has no slash and no control characters.",
)
BAD_FILE = Code(
    510,
    "An entry of `files` says too little, or things that exclude each other",
    "Each entry has a path and exactly one of: `directory: true`, `symlink`, `contents`, `source`, "
    "`metadata`.",
)
BAD_MODE = Code(
    511,
    "Not a file mode",
    'A mode is octal text of at most four digits, in quotes: "0644", "0755", "1777".',
)
BAD_SOURCE = Code(
    512,
    "A local file that `files` takes its content from cannot be used",
    "`source` is the path of a regular file on this machine, relative to the current directory "
    "(not to the YAML file); ~/ is your home directory. With `optional: true` an entry whose "
    "source does not exist is left out.",
)
MEMBER_MISSING = Code(
    514,
    "The kernel image lacks a file",
    "A kernel image has the kernel, its modules as a tar and perhaps microcode as files in its "
    "root; `binary`, `tar` and `ucode` say how they are called (kernel, kernel.tar, no microcode). "
    "`tar: none` means that there are no modules.",
)
MEMBER_NOT_A_FILE = Code(
    515,
    "What should be the kernel, its modules or microcode is not a regular file",
    "The file named by `binary`, `tar` or `ucode` is a directory, a link or a device in the image.",
)
NOT_COMPRESSED = Code(
    517,
    "The kernel cannot be decompressed",
    "`--decompress-kernel` takes kernels compressed with gzip, zstd, xz, lzma, lz4 or bzip2, as a "
    "whole file (Image.gz) or inside a bzImage of boot protocol 2.08 or newer or an EFI zboot "
    "image. Leave the option out for a kernel that is not compressed.",
)
BAD_VOLUME = Code(
    518,
    "A volume cannot be made as asked",
    "A volume of format oci holds the image for the platforms asked for, which must be in the "
    "image's index. `platforms` are written linux/arm64 or linux/arm/v7.",
)
NO_COMMAND = Code(
    519,
    "A container has no command",
    "Neither image.yml, nor the image's label, nor the image's Entrypoint and Cmd say what to run: "
    "the container cannot start. Give it a `command`.",
)
USER_IGNORED = Code(
    520,
    "The user an image asks for has no effect",
    "As in LinuxKit, a container runs as root unless image.yml or the image's label "
    "org.mobyproject.config gives a uid. Say `uid: 0` to run it as root without this warning.",
)
NO_EFFECT = Code(
    521,
    "Something is said that has no effect",
    "It is accepted since LinuxKit accepts it; take it away, or say it in the way the message "
    "shows.",
)
BAD_SBOM = Code(
    524,
    "An SBOM attached to an image cannot be read",
    "The document attached to the image is not SPDX 2 in JSON, or is far too large. `--no-sbom` "
    "builds without an SBOM.",
)
