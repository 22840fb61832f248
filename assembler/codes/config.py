"""Codes of the stage "config": reading YAML (DM00xx), and its content (DM01xx)."""

from assembler.codes import Code

# Reading

FILE_NOT_FOUND = Code(
    1,
    "The file does not exist",
    "The argument names a file that does not exist. Names are relative to the current directory; "
    "`-` means standard input, and http:// or https:// URLs are fetched.",
)
UNREADABLE = Code(
    2,
    "The file cannot be read",
    "The file exists, but the system denies reading it. `ls -l` shows its permissions.",
)
IS_A_DIRECTORY = Code(
    3,
    "A directory was given, not a file",
    "Name the YAML file itself. Several files can be given: they are merged in their order.",
)
TOO_LARGE = Code(
    4,
    "The file is too large",
    "Dolmen reads YAML files of up to 512 KiB. Put large contents into files of their own, and "
    "name these with `source:`.",
)
NOT_TEXT = Code(
    5,
    "The file is not text",
    "YAML is text in UTF-8, or in UTF-16 with a byte order mark. The message names the first "
    "invalid byte.",
)
EMPTY_FILE = Code(
    6,
    "The file is empty",
    "The file has only blanks and comments. Write `{}` for an empty system. `dolmen new` writes a "
    "file to start from.",
)
BAD_CHARACTER = Code(
    7,
    "A character that YAML does not allow",
    "YAML does not allow control characters. In double quotes they can be written as escapes: "
    '"\\x1b", "\\u0000".',
)
DOWNLOAD_FAILED = Code(
    8,
    "The URL cannot be fetched",
    "Dolmen fetches up to 512 KiB within a minute, and takes proxies from the environment. The "
    "sources of the files in such a YAML file are fetched, too: up to 64 MiB within two minutes "
    "for all of them. A redirect must lead to https, or stay on its host. Try the URL with curl, "
    "or save the file and name it.",
)
DUPLICATE_INPUT = Code(
    9,
    "The same file is given twice",
    "Files that are given together are merged: their lists are concatenated. The same file twice "
    "would double each entry.",
)
SYNTAX_ERROR = Code(
    10,
    "The file is not valid YAML",
    "The text breaks the rules of YAML at this place. The cause, such as a missing quote, colon or "
    "bracket, or a wrong indentation, is often in the line above.",
)
TAB_INDENTATION = Code(
    11,
    "A tab where YAML requires spaces",
    "YAML is indented with spaces only. Most editors can replace tabs with spaces.",
)
DUPLICATE_KEY = Code(
    12,
    "A duplicate key",
    "A mapping can have each key once: the second value would hide the first. Merge the two "
    "values, or remove one of them.",
)
NON_STRING_KEY = Code(
    13,
    "A key is not text",
    "Keys are text. Put a key that looks like a number, a boolean or null in quotes.",
)
SEVERAL_DOCUMENTS = Code(
    14,
    "More than one YAML document in a file",
    "A line `---` begins another document. A file can have only one, so that no content is "
    "silently ignored. Put the others into files of their own: all files are merged.",
)
TOO_DEEP = Code(
    15,
    "Values are nested too deeply",
    "Dolmen reads up to 40 levels. No key needs more than a few.",
)
TOO_MANY_VALUES = Code(
    16,
    "Too many values",
    "Dolmen reads up to 20,000 values, including those of aliases. Aliases of aliases multiply: a "
    "few lines can expand to billions of values.",
)
BAD_ALIAS = Code(
    17,
    "An alias without an anchor",
    "The alias `*name` stands for the value with the anchor `&name`. The anchor must come before "
    "the alias, and its value cannot contain the alias.",
)
BAD_TAG = Code(
    18,
    "An unsupported tag",
    "The supported tags of YAML are !!str, !!int, !!float, !!bool, !!null, !!map and !!seq. A text "
    "that begins with `!` needs quotes.",
)
BAD_MERGE = Code(
    19,
    "`<<` merges a value that is not a mapping",
    "`<<: *name` merges the keys of the mapping with the anchor `&name`; `<<: [*one, *two]` merges "
    "several mappings.",
)
BAD_SCALAR = Code(
    20,
    "A value does not match its tag, or has a bad escape",
    "The text is not of the type of its tag, such as !!int, or an escape in double quotes is not a "
    "character.",
)

# Content: the schema

UNKNOWN_KEY = Code(
    101,
    "An unknown key",
    "All keys are checked, so that a typing error does not silently change a system. "
    "docs/reference-yaml.md lists all keys.",
)
WRONG_TYPE = Code(
    102,
    "A value of the wrong type",
    "The key requires a value of another type: for example a list instead of a text, a text "
    "instead of a number, or any value at all. Texts that look like numbers need quotes. In "
    "build.yml, where LinuxKit accepts some other types, these are warnings.",
)
MISSING_KEY = Code(
    103,
    "A missing key",
    "The key is mandatory. docs/reference-yaml.md explains it.",
)
UNKNOWN_VALUE = Code(
    104,
    "A value that is not one of the possible ones",
    "The message lists the possible values.",
)
OUT_OF_RANGE = Code(
    105,
    "A number out of range",
    "The number is not valid for the key: IDs, for example, are 0 to 4294967295.",
)
BAD_FORMAT = Code(
    106,
    "A text with the wrong format",
    "The message describes the expected format.",
)

# Content: names

DUPLICATE_SERVICE = Code(
    110,
    "Two services have the same name",
    "The name of a service is the name of its directory, of its container at run time and of its "
    "user ID. It must be unique in all files that are given together.",
)
DUPLICATE_VOLUME = Code(
    111,
    "Two volumes have the same name",
    "Containers refer to a volume by its name in `binds`. It must be unique in all files that are "
    "given together.",
)
BAD_NAME = Code(
    112,
    "A bad name for a container",
    "The name becomes a directory, and the name of the container at run time, which can have "
    "letters, digits, `_`, `.`, `+` and `-`. Like LinuxKit, Dolmen accepts other names with a "
    "warning, but not empty names or paths.",
)
UNKNOWN_VOLUME = Code(
    114,
    "An unknown volume",
    "The source of a bind that does not begin with `/` is the name of a volume. Define the volume "
    "in the section `volumes` of one of the files.",
)
READONLY_VOLUME = Code(
    115,
    "A read-only volume is bound writable",
    "Binds are writable unless their options include `ro`. A volume with `readonly: true` can only "
    "be bound as NAME:/path:ro.",
)

# Content: containers

BAD_BIND = Code(
    120,
    "An invalid bind mount",
    "A bind is SOURCE:DESTINATION or SOURCE:DESTINATION:OPTIONS, such as /etc/resolv.conf:"
    "/etc/resolv.conf:ro. A source that does not begin with `/` is the name of a volume.",
)
BAD_TMPFS = Code(
    121,
    "An invalid tmpfs mount",
    "A tmpfs is DESTINATION or DESTINATION:OPTIONS with commas between options, such as "
    "/run:mode=755,size=1m.",
)
BAD_MOUNT = Code(
    122,
    "An incomplete mount",
    "A mount needs a type and a destination, unless one follows from the other: proc, sysfs, "
    "devpts, cgroup and mqueue have a default destination, and /dev is a tmpfs.",
)
BAD_RLIMIT = Code(
    123,
    "An invalid resource limit",
    "A limit is NAME,SOFT,HARD with numbers or `unlimited`, such as nofile,1024,4096. NAME is one "
    "of cpu, fsize, data, stack, core, rss, nproc, nofile, memlock, as, locks, sigpending, "
    "msgqueue, nice, rtprio, rttime.",
)
BAD_CAPABILITY = Code(
    124,
    "An unknown capability",
    "Capabilities are written in upper case with the prefix CAP_, such as CAP_NET_ADMIN; see "
    "capabilities(7). A list with the single entry `all` or `none` has all capabilities or none.",
)
BAD_DEVICE = Code(
    125,
    "An invalid device",
    "A device has a path, a type (c or b), major and minor numbers, and a mode in octal digits in "
    "quotes. The path `all` allows all devices and needs only a type: {path: all, type: c}.",
)
UNKNOWN_ID = Code(
    126,
    "An unknown user or group",
    "A name in uid, gid and additionalGids is root or the name of a container in onboot, "
    "onshutdown or services; each container has an ID of its own. Write numbers without quotes.",
)
SUSPICIOUS_VALUE = Code(
    127,
    "A suspicious value",
    "LinuxKit accepts the value, so Dolmen does, too. But the system would not do what the value "
    "seems to say.",
)
NO_EFFECT = Code(
    128,
    "A value without effect",
    "The value is accepted, but does not change the system.",
)

BAD_PORT = Code(
    129,
    "An invalid port or network",
    "`expose` lists ports from 1 to 65535 as 80, 80/tcp or 8000-8010/udp; the protocols are tcp, "
    "udp and sctp. Each of `from` is an address or a network, IPv4 or IPv6, such as 10.0.0.0/8 or "
    "fd00::/8, without bits of hosts.",
)
BAD_SECCOMP = Code(
    132,
    "An invalid seccomp profile",
    "`seccomp` is `default`, `unconfined`, or the path of a profile in JSON: `linux.seccomp` of "
    "the OCI runtime specification, or a profile of a container engine. An image's label has no "
    "files beside it, so it can only have the two words.",
)

# Content: files

FILE_WITHOUT_CONTENT = Code(
    130,
    "A file without content",
    "An entry of `files` has a path and one of contents, source, symlink, directory: true, or "
    'metadata. Write contents: "" for an empty file.',
)
CONFLICTING_FILE_KEYS = Code(
    131,
    "A file with conflicting keys",
    "An entry of `files` has only one of contents, source, symlink, directory: true, metadata.",
)
BAD_PATH = Code(
    133,
    "An invalid path in the system",
    "The path of a file is a path in the root filesystem. It cannot be empty, and cannot have `..` "
    "in it, which could lead out of the root filesystem.",
)
SOURCE_NOT_FOUND = Code(
    134,
    "The source of a file does not exist or cannot be used",
    "`source` names a regular file: a path relative to the YAML file, an absolute path, or with "
    "`~/` a path in the home directory. With `optional: true` the file may be missing.",
)
SOURCE_IN_CURRENT_DIRECTORY = Code(
    135,
    "The source was found in the current directory",
    "A source is relative to its YAML file. LinuxKit uses the current directory. Dolmen also uses "
    "a file that is only there, but then the build depends on the directory it is started in.",
)
LOCAL_SOURCE = Code(
    137,
    "A YAML file from a URL names a file of this machine",
    "The author of such a YAML file would get to read your files in the system that you build. Its "
    "sources are relative to its URL, and fetched from there. If you trust the file, "
    "--allow-local-sources permits absolute paths and `~/`.",
)
BAD_CMDLINE = Code(
    138,
    "The kernel command line has a control character",
    "A command line is one line. Boot loaders and network boot scripts would take what follows a "
    "line break for a command of their own. To divide a long command line in the YAML file, use "
    "`>-`, which joins lines with spaces.",
)
NOT_LINUXKIT = Code(
    142,
    "LinuxKit does not accept this",
    "`dolmen validate --linuxkit` checks files that have to work with LinuxKit, too. LinuxKit "
    "refuses keys and forms that only Dolmen has.",
)
LINUXKIT_DIFFERS = Code(
    143,
    "LinuxKit reads this differently",
    "`dolmen validate --linuxkit` checks files that have to work with LinuxKit, too. LinuxKit "
    "accepts this, but ignores it or gives it another meaning.",
)
DUPLICATE_PATH = Code(
    136,
    "Two files have the same path",
    "The later entry is used. Often one entry is a copy whose path was not changed.",
)

# Content: packages, labels

PACKAGE_NOT_FOUND = Code(
    140,
    "A template names a directory that is not a package",
    "`@pkg:DIRECTORY` stands for the image of the package in that directory. The directory is "
    "relative to the YAML file and has a build.yml.",
)
BAD_LABEL = Code(
    141,
    "The label of an image is invalid",
    "The label org.mobyproject.config of an image has defaults for its containers, as JSON or YAML "
    "with the keys of a service, except name and image. To correct it, build the image again.",
)

# Content: verified systems and their disks

BAD_DISK = Code(
    144,
    "A disk that cannot be laid out as it is written",
    "The section `disk` has the sizes of the disk, of its slots and of its partitions for data. "
    "The last partition can have the rest of the disk, or grow with it. docs/formats.md shows the "
    "disk.",
)
DUPLICATE_LABEL = Code(
    145,
    "Two partitions of the disk have the same label",
    "Systems find partitions by their labels. A label must be unique on the disk, in all files "
    "that are given together.",
)
BAD_PARTITION = Code(
    146,
    "A partition for data that cannot be made",
    "A filesystem limits its label: 16 bytes for ext4, 15 for swap, 12 for xfs, 11 for vfat. Only "
    "ext4 and vfat can have the files of a volume. A partition that is encrypted has no filesystem "
    "before the machine has made one.",
)
BAD_HEALTHY = Code(
    147,
    "A condition of health that cannot be checked",
    "`healthy` names services of this system, or a command in the container of one; `limit` must "
    "be longer than `after`. A version that never counts as good would fall back to the old one.",
)
RESERVED_CMDLINE = Code(
    148,
    "The kernel command line has a word that a verified system sets by itself",
    "`verified` writes roothash=, dolmen.verity=, dolmen.healthy= and its times to the command "
    "line, which is signed. A root= or rw of your own would start something that is not verified.",
)
