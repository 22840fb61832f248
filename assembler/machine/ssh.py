"""Access to a guest by ssh: a port, a new key, and metadata with the key."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assembler.codes import host, usage
from assembler.errors import HostError, UsageError
from assembler.machine.description import Port
from assembler.machine.host_ports import free_port
from assembler.tools import require_program

_KEY = "ssh-key"
_KNOWN = "ssh-known-hosts"
_PORT = 22
_USER = "root"


@dataclass(frozen=True, slots=True)
class SshAccess:
    """The port of this host for ssh, and the key in the machine's directory."""

    folder: Path
    port: Port

    @property
    def public_key(self) -> str:
        """Return the line for the guest's authorized_keys."""
        return (self.folder / f"{_KEY}.pub").read_text().strip()

    def metadata(self, content: bytes) -> bytes:
        """Return the user's metadata with the key added where the package metadata reads it."""
        whole = _parsed(content)
        ssh = whole.setdefault("ssh", {})
        entries = ssh.setdefault("entries", {}) if isinstance(ssh, dict) else None
        if not isinstance(entries, dict):
            raise _unusable_metadata()
        before = entries.get("authorized_keys", {}).get("content", "")
        lines = [*before.splitlines(), self.public_key]
        entries["authorized_keys"] = {"perm": "0600", "content": "\n".join(lines) + "\n"}
        return json.dumps(whole, indent=2).encode()


def prepare_ssh(folder: Path) -> SshAccess:
    """Make a key, and find a free port."""
    path = folder / _KEY
    made = subprocess.run(
        [
            require_program("ssh-keygen"),
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            "dolmen",
            "-f",
            path,
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise HostError.of(
            host.TOOL_FAILED, "ssh-keygen cannot make a key", *made.stderr.splitlines()[-3:]
        )
    return SshAccess(folder, Port(free_port(), _PORT))


def ssh_words(folder: Path, port: int, command: Sequence[str] = ()) -> list[str]:
    """Return the command that logs in at a machine, whose directory has the key.

    `command` runs there; options of ssh may come before it.
    """
    # The guest makes its host key at the first boot: no key is known before.
    options = {
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": str(folder / _KNOWN),
        "LogLevel": "ERROR",
    }
    words = ["ssh", "-i", str(folder / _KEY), "-p", str(port)]
    words += [w for name, value in options.items() for w in ("-o", f"{name}={value}")]
    # ssh takes its options also after the name of the host.
    return [*words, f"{_USER}@127.0.0.1", *command]


def _parsed(content: bytes) -> dict[str, Any]:
    if not content.strip():
        return {}
    try:
        whole = json.loads(content)
    except ValueError:
        whole = None
    if not isinstance(whole, dict):
        raise _unusable_metadata()
    return whole


def _unusable_metadata() -> UsageError:
    return UsageError.of(
        usage.BAD_OPTION,
        "--ssh: no key can be added to the metadata of --data",
        "write it as a JSON object, or put a key of your own into the image",
    )
