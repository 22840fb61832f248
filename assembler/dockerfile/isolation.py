"""The isolation of RUN: a user namespace, other namespaces, and a /dev with a few devices."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.dockerfile.dependent_commands import (
    DEPENDENT,
    subordinate_ids_of_root,
    unshare_words,
)
from assembler.dockerfile.user_namespace import namespace_command
from assembler.errors import wrap_os_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

# The new /dev is made elsewhere, since its devices are those of the old one.
_MINIMAL_DEV = """set -e
for dev in /mnt /media /srv /opt /tmp; do [ ! -d "$dev" ] || break; done
mount -n -t tmpfs -o mode=0755 dev "$dev"
for name in null zero full random urandom tty $DOLMEN_DEVICES; do
    [ -e "/dev/$name" ] || continue
    : > "$dev/$name"
    mount -n --bind "/dev/$name" "$dev/$name"
done
unset DOLMEN_DEVICES
mkdir "$dev/shm" "$dev/pts"
mount -n -t tmpfs -o mode=1777,nosuid,nodev shm "$dev/shm"
mount -n -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$dev/pts"
ln -s pts/ptmx "$dev/ptmx"
ln -s /proc/self/fd "$dev/fd"
ln -s fd/0 "$dev/stdin"
ln -s fd/1 "$dev/stdout"
ln -s fd/2 "$dev/stderr"
mount -n --move "$dev" /dev
exec "$@"
"""


@dataclass(frozen=True)
class Isolation:
    """The namespaces of buildah's commands."""

    buildah: Path

    @cached_property
    def ids(self) -> tuple[int, int] | None:
        """The first subordinate ids (uid, gid) that root maps; None if it does not."""
        # For other users, buildah enters a user namespace with their subordinate ids.
        return subordinate_ids_of_root()

    def command(
        self,
        command: Sequence[str],
        paths: Sequence[Path],
        directory: Path | None = None,
        *,
        network: bool = True,
        agent: str = "",
    ) -> list[str]:
        """Return the command line that runs a command in namespaces.

        `paths` are the directories that it uses; `agent` is a socket that it gets as SSH_AUTH_SOCK.
        """
        options = ["--mount-proc", *([] if network else ["--net"])]
        words = [*DEPENDENT, *unshare_words(*options)]
        words += ["sh", "-c", _MINIMAL_DEV, "sh", *command]
        if self.ids is not None:
            reached = [*paths, self.buildah.parent]
            entry = namespace_command(self.ids, reached, directory, agent)
            return [*DEPENDENT, *entry, *words]
        if os.geteuid() == 0:
            return words
        return [*DEPENDENT, str(self.buildah), "unshare", "--", *words]

    def environment(self, home: Path) -> dict[str, str]:
        """Return the variables for commands in the namespaces."""
        if self.ids is not None:
            # Root's own directories cannot be entered; buildah works as for other users.
            places = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
            return places | {"_CONTAINERS_USERNS_CONFIGURED": "done"}
        if os.geteuid() and shutil.which("fuse-overlayfs"):
            return {"DOLMEN_DEVICES": "fuse"}
        return {}

    def give(self, directory: Path) -> None:
        """Make the root of the user namespace the owner of a directory and its own files."""
        if self.ids is None:
            return
        with wrap_os_errors(directory):
            self._give(directory)
            for folder, directories, names in os.walk(os.fsencode(directory)):
                for name in (*directories, *names):
                    self._give(Path(os.fsdecode(os.path.join(folder, name))))  # noqa: PTH118

    def _give(self, path: Path) -> None:
        found = path.lstat()
        # A file with several names may be one of the store.
        own = stat.S_ISDIR(found.st_mode) or found.st_nlink == 1
        if self.ids is not None and own and found.st_uid != self.ids[0]:
            os.chown(path, *self.ids, follow_symlinks=False)

    def prepare(self, directories: Sequence[Path]) -> None:
        """Create directories of the storage; those of an earlier owner are emptied."""
        for directory in directories:
            with wrap_os_errors(directory):
                if (
                    self.ids is not None
                    and directory.exists()
                    and directory.stat().st_uid != self.ids[0]
                ):
                    shutil.rmtree(directory)
                directory.mkdir(parents=True, exist_ok=True)
                if self.ids is not None:
                    os.chown(directory, *self.ids)
