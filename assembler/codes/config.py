"""Codes of the stage "config": reading YAML (DM00xx), and what it says (DM01xx)."""

from assembler.codes import Code

# Reading

NOT_THERE = Code(
    1,
    "There is no such file",
    "The argument names a file that does not exist. Names are relative to the current directory; "
    "`-` means standard input, and http:// or https:// URLs are fetched.",
)
UNREADABLE = Code(
    2,
    "The file cannot be read",
    "The file exists, but the system refuses to give its contents. `ls -l` shows its permissions.",
)
IS_A_DIRECTORY = Code(
    3,
    "A directory stands where a file is expected",
    "Name the YAML file itself. Several files can be given: they are merged in their order.",
)
TOO_LARGE = Code(
    4,
    "The file is larger than any configuration",
    "Up to 512 KiB are read. Large contents belong in files of their own, named with `source:`.",
)
NOT_TEXT = Code(
    5,
    "The file is not text",
    "YAML is text, in UTF-8 (or in UTF-16 with a byte order mark). The message names the first "
    "byte that cannot be part of it.",
)
EMPTY = Code(
    6,
    "The file is empty",
    "There is nothing in it but blanks and comments. An empty system on purpose is written `{}`. "
    "`dolmen new` writes a file to start from.",
)
BAD_CHARACTER = Code(
    7,
    "A character that YAML does not allow",
    "Control characters cannot stand in YAML as they are. In double quotes they can be written as "
    'escapes: "\\x1b", "\\u0000".',
)
NOT_FETCHED = Code(
    8,
    "The URL cannot be fetched",
    "A configuration is fetched within a minute and up to 512 KiB; proxies are taken from the "
    "environment. Try the URL with curl, or save the file and name it.",
)
GIVEN_TWICE = Code(
    9,
    "The same file is given twice",
    "Files given together are merged: all lists are joined. The same file twice would give "
    "everything in it twice.",
)
SYNTAX = Code(
    10,
    "This is not YAML",
    "The text breaks YAML's rules at the place shown; very often the real slip (a missing quote, "
    "colon or bracket, an indentation) is in the line above.",
)
TAB = Code(
    11,
    "A tab where YAML wants spaces",
    "YAML is indented with spaces only. Most editors can replace tabs by spaces.",
)
DUPLICATE_KEY = Code(
    12,
    "A key is there twice",
    "A mapping has each key once: the second would hide the first. Join the two values, or remove "
    "one of them.",
)
KEY_NOT_TEXT = Code(
    13,
    "A key is not text",
    "Keys are text. One that looks like a number, a boolean or nothing needs quotes.",
)
SEVERAL_DOCUMENTS = Code(
    14,
    "More than one YAML document in a file",
    "A line `---` begins another document. Only one is allowed in a file, so that nothing is "
    "ignored silently. Give the others as files of their own: all are merged.",
)
TOO_DEEP = Code(
    15,
    "Values are nested too deeply",
    "No key of a configuration needs more than a few levels; 40 are read.",
)
TOO_MANY = Code(
    16,
    "There are more values than are read",
    "Up to 20,000 values are read, those brought by aliases included. Aliases of aliases multiply: "
    "a few lines can mean billions of values.",
)
BAD_ALIAS = Code(
    17,
    "An alias stands for nothing",
    "`*name` stands for the value marked `&name`, which must come before it, and cannot contain "
    "the alias itself.",
)
BAD_TAG = Code(
    18,
    "A tag is not understood",
    "Of YAML's tags only !!str, !!int, !!float, !!bool, !!null, !!map and !!seq have a meaning "
    "here. A text that begins with `!` needs quotes.",
)
BAD_MERGE = Code(
    19,
    "`<<` merges something that is no mapping",
    "`<<: *name` takes over the keys of the mapping marked `&name`, or of several in a list: "
    "`<<: [*one, *two]`.",
)
BAD_SCALAR = Code(
    20,
    "A value is not what its tag or its escapes say",
    "A tag such as !!int promises what the text does not keep, or an escape in double quotes "
    "does not name a character.",
)

# What it says: the schema

UNKNOWN_KEY = Code(
    101,
    "A key that is not known here",
    "Every key is checked, so that a slip of the pen does not silently change a system. "
    "docs/reference-yaml.md lists all keys.",
)
WRONG_TYPE = Code(
    102,
    "A value of the wrong type",
    "The value is of another type than its key takes: a text where a list is wanted, a number "
    "where a text is wanted, nothing at all. Texts that look like numbers need quotes.",
)
MISSING_KEY = Code(
    103,
    "A key is missing",
    "The key named must be there. docs/reference-yaml.md says what it means.",
)
UNKNOWN_VALUE = Code(
    104,
    "Not one of the possible values",
    "The key takes one of a few words; the message lists them.",
)
OUT_OF_RANGE = Code(
    105,
    "A number out of its range",
    "The number cannot be what the key means: ids, for instance, go from 0 to 4294967295.",
)
BAD_FORM = Code(
    106,
    "A text that does not have the form its key wants",
    "The message says what the text should look like.",
)

# What it says: names

DUPLICATE_SERVICE = Code(
    110,
    "Two services have the same name",
    "A service's name is the name of its directory, of its container at run time and of its user "
    "id, so it is unique, over all files given together.",
)
DUPLICATE_VOLUME = Code(
    111,
    "Two volumes have the same name",
    "Containers name a volume in `binds`, so its name is unique, over all files given together.",
)
BAD_NAME = Code(
    112,
    "Not a good name for a container",
    "The name becomes a directory and the name of the container at run time, which takes letters, "
    "digits, `_`, `.`, `+` and `-`. Other names are accepted with a warning as LinuxKit does, "
    "but not empty ones, nor those that are more than one directory.",
)
UNKNOWN_VOLUME = Code(
    114,
    "There is no such volume",
    "The source of a bind that does not begin with `/` is the name of a volume, which must be "
    "listed in `volumes` of one of the files.",
)
READONLY_VOLUME = Code(
    115,
    "A read-only volume is bound writable",
    "Binds are writable unless their options say `ro`. A volume with `readonly: true` can only be "
    "bound as NAME:/path:ro.",
)

# What it says: containers

BAD_BIND = Code(
    120,
    "Not a bind mount",
    "A bind is SOURCE:DESTINATION or SOURCE:DESTINATION:OPTIONS, as /etc/resolv.conf:"
    "/etc/resolv.conf:ro. A source without a leading `/` is the name of a volume.",
)
BAD_TMPFS = Code(
    121,
    "Not a tmpfs mount",
    "A tmpfs is DESTINATION or DESTINATION:OPTIONS with commas between options, as "
    "/run:mode=755,size=1m.",
)
BAD_MOUNT = Code(
    122,
    "A mount does not say enough",
    "A mount needs a type and a destination, unless one follows from the other: proc, sysfs, "
    "devpts, cgroup and mqueue have a usual destination, and /dev is a tmpfs.",
)
BAD_RLIMIT = Code(
    123,
    "Not a resource limit",
    "A limit is NAME,SOFT,HARD with numbers or `unlimited`, as nofile,1024,4096. NAME is one of "
    "cpu, fsize, data, stack, core, rss, nproc, nofile, memlock, as, locks, sigpending, msgqueue, "
    "nice, rtprio, rttime.",
)
BAD_CAPABILITY = Code(
    124,
    "Not a capability",
    "Capabilities are written in capitals with CAP_ in front, as CAP_NET_ADMIN; capabilities(7) "
    "explains them. `all` or `none` alone stands for the whole list or nothing.",
)
BAD_DEVICE = Code(
    125,
    "Not a device",
    "A device has a path, a type (c or b), major and minor numbers, and a mode in octal digits in "
    "quotes. The path `all` allows all devices and needs no more: {path: all, type: c}.",
)
UNKNOWN_ID = Code(
    126,
    "No user or group of this name",
    "In uid, gid and additionalGids a name is that of a container in onboot, onshutdown or "
    "services, each of which has an id of its own, or root. A number is written without quotes.",
)
DOUBTFUL = Code(
    127,
    "A value that is hardly meant",
    "LinuxKit accepts the value, so Dolmen does, too; but the system made of it would not do what "
    "the value seems to say.",
)
NO_EFFECT = Code(
    128,
    "A value without effect",
    "The value is accepted, but nothing in the system comes from it.",
)

# What it says: files

FILE_WITHOUT_CONTENT = Code(
    130,
    "A file with nothing to put in it",
    "An entry of `files` has a path and one of contents, source, symlink, directory: true, or "
    'metadata. An empty file is contents: "".',
)
FILE_CONTRADICTION = Code(
    131,
    "A file that would be two things at once",
    "An entry of `files` is made of one of contents, source, symlink, directory: true, metadata.",
)
BAD_PATH = Code(
    133,
    "Not a path in the system",
    "The path of a file stands for a place in the root filesystem. It cannot be empty, and has no "
    "`..` in it, which could lead out of it.",
)
SOURCE_NOT_THERE = Code(
    134,
    "The source of a file is not there",
    "`source` names a file beside the YAML file, or an absolute path, or one in the home directory "
    "with `~/`. With `optional: true` it may be missing.",
)
SOURCE_ELSEWHERE = Code(
    135,
    "The source was found in the current directory",
    "A source is relative to its YAML file. LinuxKit takes the current directory, so a file only "
    "there is used, too, but the build depends on where it is started.",
)
PATH_TWICE = Code(
    136,
    "A path is written twice",
    "The later entry counts. This is often a copy that was not changed.",
)

# What it says: packages, labels

NO_PACKAGE = Code(
    140,
    "There is no package to take a name from",
    "`@pkg:DIRECTORY` stands for the image that is built from the package in that directory, which "
    "is relative to the YAML file and has a build.yml.",
)
BAD_LABEL = Code(
    141,
    "The label of an image is wrong",
    "The label org.mobyproject.config of an image holds defaults for containers made of it, as "
    "JSON or YAML with the keys of a service, except name and image. It can only be mended by "
    "building the image again.",
)
