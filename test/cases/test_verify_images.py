"""A user verifies an image offline, with the public keys of whoever made it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from support.verified_images import make_image, make_keys

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen


def test_a_chain_is_verified_and_a_change_is_named(dolmen: Dolmen, tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "keys")
    image = make_image(tmp_path / "made", keys, b"content " * 4096)
    public = tmp_path / "public"
    public.mkdir()
    for name in ("PK.crt", "KEK.crt", "db.crt", "pcr.pub", "update.pub"):
        shutil.copy(keys / name, public)
    done = dolmen.run("verify", "--keys", public, image.disk)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok           slot A" in done.stdout
    assert "not covered:\n  the firmware" in done.stdout
    assert done.stdout.endswith("no check failed\n")
    assert dolmen.run("verify", "--keys", public, image.update).returncode == 0
    assert dolmen.run("verify", "--keys", public, image.file("efi")).returncode == 0

    index = image.update / "index.json"
    document = json.loads(index.read_text())
    document["payload"] = document["payload"][:-8] + document["payload"][-4:] * 2
    index.write_text(json.dumps(document))
    assert dolmen.run("verify", "--keys", public, image.update).returncode == 1

    data = bytearray(image.disk.read_bytes())
    data[data.index(b"content content ")] ^= 1
    image.disk.write_bytes(data)
    done = dolmen.run("verify", "--json", "--keys", public, image.disk)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["ok"] is False
    assert [c["part"] for c in report["checks"] if c["outcome"] == "failed"] == ["slot A"]
    done = dolmen.run("verify", "--keys", public, image.disk)
    assert "FAILED       slot A" in done.stdout
    assert "1 of " in done.stdout


def test_keys_are_needed(dolmen: Dolmen, tmp_path: Path) -> None:
    done = dolmen.run("verify", tmp_path)
    assert done.returncode == 2
    assert "--keys" in done.stderr
    done = dolmen.run("verify", "--keys", tmp_path / "none", tmp_path)
    assert done.returncode == 2
    assert "there is no directory" in done.stderr
