"""Check files that have to work with LinuxKit, too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.cli import Dolmen

IMAGE = """\
init: [example/init:v1]
services:
  - name: s
    image: example/s:1
    resources:
      blockIO: {weight: 10}
      memory: {kernelTCP: 4096}
"""


def test_what_linuxkit_would_not_take_is_shown(dolmen: Dolmen) -> None:
    image = dolmen.home / "image.yml"
    image.write_text(IMAGE)
    assert dolmen.run("validate", image).returncode == 0
    shown = dolmen.run("validate", "--linuxkit", image)
    assert shown.returncode == 1
    assert f"{image}:6:7" in shown.stderr
    assert "error[DM0142]" in shown.stderr
    assert f"{image}:7:16" in shown.stderr
    assert "warning[DM0143]" in shown.stderr
    result = json.loads(dolmen.run("validate", "--linuxkit", "--json", image).stdout)
    assert (result["valid"], result["errors"], result["warnings"]) == (False, 1, 1)
    assert [d["code"] for d in result["diagnostics"]] == ["DM0142", "DM0143"]
    image.write_text(IMAGE.replace("blockIO", "blockio"))
    warned = dolmen.run("validate", "--linuxkit", image)
    assert warned.returncode == 0
    assert warned.stderr.endswith(f"{image}: valid\n")


def test_mistakes_are_shown_as_well(dolmen: Dolmen) -> None:
    image = dolmen.home / "image.yml"
    image.write_text(IMAGE.replace("weight: 10", "wieght: 10"))
    shown = dolmen.run("validate", "--linuxkit", image)
    assert shown.returncode == 1
    assert "DM0101" in shown.stderr
    assert "DM0142" in shown.stderr


def test_standard_input_and_packages(dolmen: Dolmen) -> None:
    shown = dolmen.run("validate", "--linuxkit", "-", stdin=IMAGE)
    assert shown.returncode == 1
    assert "<stdin>:6:7" in shown.stderr
    build = dolmen.home / "build.yml"
    build.write_text("image: tool\ndebs: {suite: trixie, packages: [busybox-static]}\n")
    assert dolmen.run("validate", build).returncode == 0
    shown = dolmen.run("validate", "--linuxkit", build)
    assert shown.returncode == 1
    assert f"{build}:2:1" in shown.stderr


def test_volumes_of_several_files(dolmen: Dolmen) -> None:
    (dolmen.home / "a.yml").write_text("volumes: [{name: v}]\n")
    (dolmen.home / "b.yml").write_text("services: [{name: s, image: a/b:1, binds: ['v:/v']}]\n")
    words = ("validate", "--merge", "a.yml", "b.yml")
    assert dolmen.run(*words).returncode == 0
    shown = dolmen.run(*words, "--linuxkit")
    assert shown.returncode == 1
    assert "b.yml:1:44" in shown.stderr
    assert dolmen.run("validate", "--merge", "b.yml", "a.yml", "--linuxkit").returncode == 0
