"""The words of commands that run in namespaces of their own and end with this process."""

from __future__ import annotations

import os

from assembler.dockerfile.user_namespace import subordinate_ids
from assembler.errors import wrap_os_errors

# In a PID namespace of their own, all processes end with the first one, which ends with the
# process that started it, even if that is killed.
DEPENDENT = ("setpriv", "--pdeathsig", "KILL", "--")


def unshare_words(*options: str) -> list[str]:
    """Return the words of unshare before a command; options add namespaces and mounts."""
    return ["unshare", "--pid", "--ipc", "--fork", "--kill-child", *options, "--"]


def subordinate_ids_of_root() -> tuple[int, int] | None:
    """Return the first subordinate ids (uid, gid) that root maps; None if it does not."""
    if os.geteuid():
        return None
    with wrap_os_errors("/proc/self", "read"):
        uid, gid = subordinate_ids("uid"), subordinate_ids("gid")
    return None if uid is None or gid is None else (uid, gid)
