"""Codes of the stage "host": the machine that Dolmen runs on."""

from assembler.codes import Code

TOOL_MISSING = Code(
    801,
    "A required program is not installed",
    "Dolmen leaves some work to programs such as QEMU or mksquashfs. The message names the Debian "
    "package that has the program; `dolmen doctor` shows which programs are installed.",
)
DISK_FULL = Code(
    802,
    "The disk is full",
    "No data was lost: outputs and cache entries are written completely or not at all. The message "
    "names the directory and its free space. `dolmen cache clean` frees room in the store, also "
    "with 0 bytes free, `dolmen pkg builder prune` removes the caches of builders, and `--cache "
    "DIR` puts the store on another disk. TMPDIR names another directory for temporary files.",
)
NOT_WRITABLE = Code(
    803,
    "A file or directory cannot be written",
    "Dolmen writes only to the output directory and to its store. Choose other directories with "
    "`--dir`, `--output` or `--cache`, or change the permissions.",
)
NOT_READABLE = Code(
    804,
    "A file or directory cannot be read",
    "Check that the path exists, is of the expected kind, and that you may read it.",
)
TOOL_FAILED = Code(
    805,
    "An external program failed",
    "The message has the last lines that the program printed, and its command line for a shell. A "
    "program that neither prints nor computes for a long time is killed.",
)
NO_NAMESPACES = Code(
    806,
    "This machine does not allow new namespaces",
    "RUN of a Dockerfile is executed in namespaces of its own, also for root. A container without "
    "privileges (CAP_SYS_ADMIN, or a seccomp filter that permits unshare and mount) or a kernel "
    "setting (user.max_user_namespaces, kernel.unprivileged_userns_clone, "
    "kernel.apparmor_restrict_unprivileged_userns) can forbid them. Users other than root also "
    "need subordinate ids: `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "
    "$USER`.",
)
NO_SUBORDINATE_IDS = Code(
    807,
    "A user without subordinate ids",
    "Without root, buildah maps the users of an image to subordinate ids of yours, from "
    "/etc/subuid and /etc/subgid. Without them it can make files of one user only. The hint has "
    "the command that adds some; `dolmen doctor` checks them.",
)
EXTRA_MISSING = Code(
    808,
    "A Python library for this task is not installed",
    "`pip install dolmen` leaves out libraries that most users never need. Each belongs to an "
    "extra of the Python package; the hint has the command that installs it, and `pip install "
    "'dolmen[all]'` installs all. With pipx: `pipx install --force 'dolmen[all]'`; with uv: "
    "`uv tool install 'dolmen[all]'`.",
)
