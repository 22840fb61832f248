"""Update sets: the signed index, the files that it lists, and what is in them."""

from __future__ import annotations

import base64
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from assembler.data_files import open_data_file, open_data_stream
from assembler.errors import wrap_os_errors
from assembler.inspection import FileSource
from assembler.verification.hash_trees import check_tree
from assembler.verification.programs import check_program, digest_of
from assembler.verification.report import FailedCheckError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    from assembler.verification.report import Checks
    from assembler.verification.trusted_keys import TrustedKeys

_INDEX, _CHECKSUMS = "index.json", "SHA256SUMS"
_PAYLOAD = "application/vnd.dolmen.update+json"
_MAX_INDEX = 1 << 20
_ROLES = ("root", "verity", "efi")
_SIGNATURE = "signature of the index"


def check_update_set(checks: Checks, directory: Path, keys: TrustedKeys) -> None:
    """Check a directory with an update set."""
    payload: dict[str, Any] | None = None
    with checks.failing(_INDEX, _SIGNATURE):
        envelope = json.loads(_read(directory / _INDEX))
        content = base64.b64decode(envelope["payload"], validate=True)
        if envelope["payloadType"] != _PAYLOAD:
            raise FailedCheckError(f"its content is of the type {envelope['payloadType']}")
        payload = json.loads(content)
        if keys.update is None:
            checks.unchecked(_INDEX, _SIGNATURE, "the keys have no update.pub")
        else:
            _check_signature(envelope, content, keys.update)
            checks.ok(_INDEX, _SIGNATURE, "by the key in update.pub")
    if payload is None:
        return
    with checks.failing(_INDEX, "content of the index"):
        if payload["schema"] != 1 or not payload["releases"]:
            raise FailedCheckError("it has an unknown schema, or no release")
        versions = [release["version"] for release in payload["releases"]]
        what = f"{payload['product']} for {payload['architecture']}, version {', '.join(versions)}"
        checks.ok(_INDEX, "content of the index", what)
        for release in payload["releases"]:
            _check_release(checks, directory, payload["product"], release, keys)
    with checks.failing(_CHECKSUMS, "checksums"):
        _check_checksums(directory, payload)
        checks.ok(_CHECKSUMS, "checksums", "those of the index")


def _check_signature(envelope: dict[str, Any], content: bytes, key: EllipticCurvePublicKey) -> None:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    for one in envelope["signatures"]:
        try:
            signature = base64.b64decode(one["sig"], validate=True)
            key.verify(signature, _message(content), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            continue
        return
    raise FailedCheckError("it is not signed by the key in update.pub")


def _message(content: bytes) -> bytes:
    """Return the bytes that a signature in a DSSE envelope is of."""
    return b"DSSEv1 %d %b %d %b" % (len(_PAYLOAD), _PAYLOAD.encode(), len(content), content)


def _check_release(
    checks: Checks, directory: Path, product: str, release: dict[str, Any], keys: TrustedKeys
) -> None:
    root_hash = bytes.fromhex(release["roothash"])
    with ExitStack() as stack:
        sources: dict[str, FileSource] = {}
        for role in _ROLES:
            listed = release["files"][role]
            name = str(listed["name"])
            if "/" in name or name.startswith("."):
                checks.failed(_INDEX, "content of the index", f"a file is named {name!r}")
                continue
            with checks.failing(name, "digest"):
                path = directory / name
                if not path.is_file():
                    raise FailedCheckError("it is missing")
                with wrap_os_errors(path, "read"):
                    file = stack.enter_context(open_data_file(path))
                source = FileSource(file.fileno(), file.seek(0, 2))
                sources[role] = source
                if source.size != listed["size"]:
                    raise FailedCheckError(f"it has {source.size} bytes, not {listed['size']}")
                if digest_of(source) != listed["sha256"]:
                    raise FailedCheckError("its SHA-256 is not the one in the index")
                checks.ok(name, "digest", f"sha256:{listed['sha256']}")
        if "efi" in sources:
            part = release["files"]["efi"]["name"]
            program = check_program(checks, part, sources["efi"], keys)
            if program is not None:
                with checks.failing(part, "release"):
                    said = (
                        program.release.get("IMAGE_ID"),
                        program.release.get("IMAGE_VERSION"),
                        program.root_hash,
                    )
                    if said != (product, release["version"], root_hash):
                        raise FailedCheckError(
                            "product, version or root hash are not those of the index"
                        )
                    checks.ok(part, "release", f"{product} {release['version']}")
        if "root" in sources and "verity" in sources:
            part = release["files"]["root"]["name"]
            with checks.failing(part, "hash tree"):
                found = check_tree(sources["root"], sources["verity"], root_hash)
                checks.ok(part, "hash tree", found)


def _check_checksums(directory: Path, payload: dict[str, Any]) -> None:
    files = [file for one in payload["releases"] for file in one["files"].values()]
    wanted = {f"{file['sha256']}  {file['name']}" for file in files}
    if set(_read(directory / _CHECKSUMS).decode().splitlines()) != wanted:
        raise FailedCheckError("they are not those of the index")


def _read(path: Path) -> bytes:
    with wrap_os_errors(path, "read"), open_data_stream(path) as file:
        return file.read(_MAX_INDEX)
