"""Access to a guest over ssh: a forwarded port, a new key, and metadata with the key."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assembler.codes import host, usage
from assembler.errors import HostError, UsageError
from assembler.machine.description import Port
from assembler.machine.host_ports import free_port
from assembler.tools import require_program, run_program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_KEY = "ssh-key"
_KNOWN_HOSTS = "ssh-known-hosts"
_PORT = 22
_USER = "root"


@dataclass(frozen=True, slots=True)
class SshAccess:
    """The forwarded port for ssh, and the machine's directory, which contains the key."""

    folder: Path
    port: Port

    @property
    def public_key(self) -> str:
        """Return the line for the guest's authorized_keys."""
        return (self.folder / f"{_KEY}.pub").read_text().strip()

    def metadata(self, content: bytes) -> bytes:
        """Return the user's metadata with the key added where the metadata package reads it."""
        metadata = _parse_metadata(content)
        ssh = metadata.setdefault("ssh", {})
        entries = ssh.setdefault("entries", {}) if isinstance(ssh, dict) else None
        if not isinstance(entries, dict):
            raise _unusable_metadata()
        before = entries.get("authorized_keys", {}).get("content", "")
        lines = [*before.splitlines(), self.public_key]
        entries["authorized_keys"] = {"perm": "0600", "content": "\n".join(lines) + "\n"}
        return json.dumps(metadata, indent=2).encode()


def prepare_ssh(folder: Path) -> SshAccess:
    """Create a key, and find a free port."""
    path = folder / _KEY
    options = ("-q", "-t", "ed25519", "-N", "", "-C", "dolmen", "-f", path)
    command = (require_program("ssh-keygen"), *options)
    result = run_program(command, os.environ, writes=(path,))
    if result.status:
        raise HostError.of(
            host.TOOL_FAILED, "ssh-keygen cannot create a key", *result.errors.splitlines()[-3:]
        )
    return SshAccess(folder, Port(free_port(), _PORT))


def ssh_argv(folder: Path, port: int, command: Sequence[str] = ()) -> list[str]:
    """Return the command line that logs in to a machine with the key in its directory.

    `command` runs in the guest; options of ssh may precede it.
    """
    # The guest creates its host key at the first boot, so the key is unknown before.
    options = {
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": str(folder / _KNOWN_HOSTS),
        "LogLevel": "ERROR",
    }
    argv = ["ssh", "-i", str(folder / _KEY), "-p", str(port)]
    argv += [w for name, value in options.items() for w in ("-o", f"{name}={value}")]
    # ssh also accepts options after the host name.
    return [*argv, f"{_USER}@127.0.0.1", *command]


def _parse_metadata(content: bytes) -> dict[str, Any]:
    if not content.strip():
        return {}
    try:
        metadata = json.loads(content)
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict):
        raise _unusable_metadata()
    return metadata


def _unusable_metadata() -> UsageError:
    return UsageError.of(
        usage.BAD_OPTION,
        "--ssh: cannot add the key to the metadata of --data",
        "write the metadata as a JSON object, or put your own key into the image",
    )
