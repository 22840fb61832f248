"""Reaching a guest by ssh: a port, a key made for it, and how the guest learns of that."""

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
from assembler.tools import require_program
from dolmen.run.ports import free_port

_KEY = "ssh-key"
_KNOWN = "ssh-known-hosts"
_PORT = 22
_USER = "root"


@dataclass(frozen=True, slots=True)
class Ssh:
    """How a guest is reached: the port of this machine, and the key in the machine's directory."""

    folder: Path
    port: Port

    @property
    def public_key(self) -> str:
        """Return the line for the guest."""
        return (self.folder / f"{_KEY}.pub").read_text().strip()

    def metadata(self, content: bytes) -> bytes:
        """Return the user's metadata together with the key, where the package metadata looks."""
        whole = _parsed(content)
        ssh = whole.setdefault("ssh", {})
        entries = ssh.setdefault("entries", {}) if isinstance(ssh, dict) else None
        if not isinstance(entries, dict):
            raise _contradiction()
        before = entries.get("authorized_keys", {}).get("content", "")
        lines = [*before.splitlines(), self.public_key]
        entries["authorized_keys"] = {"perm": "0600", "content": "\n".join(lines) + "\n"}
        return json.dumps(whole, indent=2).encode()


def prepare(folder: Path) -> Ssh:
    """Make a key, and find a port."""
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
    return Ssh(folder, Port(free_port(), _PORT))


def command(folder: Path, port: int, more: Sequence[str] = ()) -> list[str]:
    """Return the command that logs in at a machine, whose directory has the key.

    `more` is what to run there, perhaps with options of ssh before it.
    """
    # The guest makes its own key at the first login: there is nothing to compare it to before.
    options = {
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": str(folder / _KNOWN),
        "LogLevel": "ERROR",
    }
    words = ["ssh", "-i", str(folder / _KEY), "-p", str(port)]
    words += [w for name, value in options.items() for w in ("-o", f"{name}={value}")]
    # ssh takes its options also after the name of the host.
    return [*words, f"{_USER}@127.0.0.1", *more]


def _parsed(content: bytes) -> dict[str, Any]:
    if not content.strip():
        return {}
    try:
        whole = json.loads(content)
    except ValueError:
        whole = None
    if not isinstance(whole, dict):
        raise _contradiction()
    return whole


def _contradiction() -> UsageError:
    return UsageError.of(
        usage.BAD_OPTION,
        "--ssh: the metadata of --data is not such that a key can be added to it",
        "write it as a JSON object, or put a key of your own into the image",
    )
