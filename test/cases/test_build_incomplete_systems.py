"""A build warns about what would only fail at boot: absent programs, an init, a runtime."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from assembler.codes import rootfs as codes
from assembler.encode.assembly import Assembly
from assembler.events import EventRecorder, WarningEmitted
from assembler.formats import Target, select_formats, write_formats
from assembler.oci import Store
from support.archives import E, directory, hardlink, image, symlink
from support.cli import Dolmen
from support.programs import kernel
from support.systems import loaded, planned

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.codes import Code
    from assembler.diagnostics import Diagnostic

PATH = {"Env": ["PATH=/usr/bin:/bin"]}
APP = (
    directory("usr/bin"),
    directory("opt"),
    E("usr/bin/app", b"#!", mode=0o755),
    E("usr/bin/data", b"text", mode=0o644),
    hardlink("usr/bin/same", "usr/bin/app"),
    symlink("bin", "usr/bin"),
    symlink("usr/bin/absolute", "/usr/bin/app"),
    symlink("usr/bin/upwards", "../../../usr/bin/app"),
    symlink("usr/bin/dangling", "/usr/bin/none"),
    symlink("usr/bin/circle", "circle"),
    symlink("usr/bin/late", "/run/late"),
)
BOOTABLE = """
kernel: {image: "test/kernel:1", tar: none, cmdline: "console=ttyS0"}
init: ["test/init:1"]
"""
SERVICE = 'services:\n  - {name: one, image: "test/app:1"'


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give a store with a kernel, an init with a runtime, and an image with programs."""
    found = Store(tmp_path / "store")
    image(found, "test/kernel:1", [E("kernel", kernel())])
    image(found, "test/init:1", [E("init", b"#!", mode=0o755), E("usr/bin/runc", b"", mode=0o755)])
    image(found, "test/app:1", APP, config=PATH)
    return found


def warnings(store: Store, folder: Path, yaml: str, *formats: str) -> list[Diagnostic]:
    """Return the warnings of a plan and of writing it."""
    plan = planned(loaded(yaml), store)
    recorder = EventRecorder()
    with Assembly(plan, store, reporter=recorder) as assembly:
        selected = select_formats(formats or ("kernel+initrd",))
        write_formats(assembly, selected, Target(folder / "out", "os"), reporter=recorder)
    emitted = [e.diagnostic for e in recorder.events if isinstance(e, WarningEmitted)]
    return [*plan.warnings, *emitted]


@pytest.mark.parametrize(
    "command",
    [
        "[app]",
        "[/usr/bin/app, argument]",
        "[/bin/app]",
        "[same]",
        "[absolute]",
        "[upwards]",
        "[late]",
        "[usr/bin/app]",
    ],
)
def test_a_program_of_the_image_is_found(store: Store, tmp_path: Path, command: str) -> None:
    more = ', binds: ["/run:/run"]' if "late" in command else ""
    found = warnings(store, tmp_path, f"{BOOTABLE}{SERVICE}, command: {command}{more}}}\n")
    assert found == []


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("[none]", "has no none in /usr/bin:/bin"),
        ("[/sbin/app]", "has no /sbin/app"),
        ("[/usr/bin/none]", "has no /usr/bin/none"),
        ("[data]", "/usr/bin/data is not executable"),
        ("[/opt]", "/opt is a directory"),
        ("[dangling]", "leads to usr/bin/none, which does not exist"),
        ("[circle]", "lead in a circle"),
        ("[/usr/bin/app/x]", "usr/bin/app is a file"),
        ("[/usr/bin/late]", "leads to run/late, which does not exist"),
    ],
)
@pytest.mark.parametrize("form", ["kernel+initrd", "tar"])
def test_a_program_that_is_not_in_the_image_is_a_warning(
    store: Store, tmp_path: Path, command: str, message: str, form: str
) -> None:
    yaml = f"{BOOTABLE}{SERVICE},\n    command: {command}}}\n"
    (found,) = warnings(store, tmp_path, yaml, form)
    assert found.code is codes.PROGRAM_MISSING
    assert "'one' cannot start: docker.io/test/app:1" in found.message
    assert message in found.message
    assert found.place is not None
    assert found.place.line == 6


def test_the_hint_says_where_the_program_is(store: Store, tmp_path: Path) -> None:
    yaml = f"{BOOTABLE}{SERVICE}, command: [/sbin/app]}}\n"
    (found,) = warnings(store, tmp_path, yaml)
    assert found.hints[0] == "the image has /usr/bin/app"


@pytest.mark.parametrize(
    "more",
    ['binds: ["/x:/opt/tools"]', "mounts: [{type: bind, source: /x, destination: /opt/tools}]"],
)
def test_a_program_below_a_mount_is_not_looked_for(store: Store, tmp_path: Path, more: str) -> None:
    yaml = f"{BOOTABLE}{SERVICE}, command: [/opt/tools/run], {more}}}\n"
    assert warnings(store, tmp_path, yaml) == []


def test_an_entrypoint_that_does_not_exist_is_a_warning(store: Store, tmp_path: Path) -> None:
    image(store, "test/wrong:1", APP, config={"Entrypoint": ["/usr/bin/wrong"]})
    yaml = f'{BOOTABLE}onboot:\n  - {{name: one, image: "test/wrong:1"}}\n'
    (found,) = warnings(store, tmp_path, yaml)
    assert found.code is codes.PROGRAM_MISSING
    assert found.place is not None
    assert found.place.line == 5


def test_a_file_of_the_yaml_can_be_the_program(store: Store, tmp_path: Path) -> None:
    path = "containers/services/one/lower/opt/mine"
    yaml = (
        f"{BOOTABLE}{SERVICE}, command: [/opt/mine]}}\n"
        f'files:\n  - {{path: {path}, contents: x, mode: "0755"}}\n'
    )
    assert warnings(store, tmp_path, yaml) == []


@pytest.mark.parametrize(
    ("yaml", "message", "line"),
    [
        ("services: []\n", "the system has no kernel and no init", 1),
        ('init: ["test/init:1"]\n', "the system has no kernel", 1),
        (BOOTABLE.replace("test/init:1", "test/app:1"), "no image of `init` has /init", 3),
        (
            BOOTABLE.replace("test/init:1", "test/bare:1") + f"{SERVICE}, command: [app]}}\n",
            "no program that starts them",
            3,
        ),
    ],
)
def test_what_the_system_lacks_to_boot_is_a_warning(
    store: Store, tmp_path: Path, yaml: str, message: str, line: int
) -> None:
    image(store, "test/bare:1", [E("init", b"#!", mode=0o755)])
    (found,) = warnings(store, tmp_path, yaml)
    assert found.code is codes.NOT_BOOTABLE
    assert message in found.message
    assert found.place is not None
    assert found.place.line == line
    # A tar is not meant to boot by itself.
    assert warnings(store, tmp_path, yaml, "tar") == []


def test_a_kernel_may_start_another_init(store: Store, tmp_path: Path) -> None:
    yaml = BOOTABLE.replace("console=ttyS0", "rdinit=/bin/app").replace("init:1", "app:1")
    assert warnings(store, tmp_path, yaml) == []


@pytest.mark.parametrize(
    ("file", "more", "expected"),
    [
        ("", "", [codes.UNREADABLE_FILE]),
        (', mode: "0640"', "", [codes.UNREADABLE_FILE]),
        (', mode: "0644"', "", []),
        (", uid: 1000", "", []),
        (', gid: 1000, mode: "0640"', "", []),
        ("", ", capabilities: [CAP_DAC_OVERRIDE]", []),
        ("", ", uid: 0", []),
    ],
)
def test_a_file_that_the_user_of_a_service_cannot_read_is_a_warning(
    store: Store, tmp_path: Path, file: str, more: str, expected: list[Code]
) -> None:
    user = more if "uid" in more else f", uid: 1000, gid: 1000{more}"
    yaml = (
        f"{BOOTABLE}{SERVICE}, command: [app]{user},\n"
        "    binds: [/etc/key:/etc/key:ro]}\n"
        f"files:\n  - {{path: etc/key, contents: secret{file}}}\n"
    )
    found = warnings(store, tmp_path, yaml)
    assert [w.code for w in found] == expected
    assert [w.place.line for w in found if w.place] == [6 for _ in expected]


@pytest.mark.parametrize(
    ("second", "expected"), [("", [codes.UNREADABLE_FILE]), (', mode: "0644"', [])]
)
def test_a_directory_of_which_the_user_can_read_nothing_is_a_warning(
    store: Store, tmp_path: Path, second: str, expected: list[Code]
) -> None:
    yaml = (
        f"{BOOTABLE}{SERVICE}, command: [app], uid: 1000,\n"
        "    binds: [/etc/keys:/keys:ro, /etc/key:/other]}\n"
        "files:\n  - {path: etc/keys/one, contents: secret}\n"
        f"  - {{path: etc/keys/two, contents: secret{second}}}\n"
    )
    found = warnings(store, tmp_path, yaml)
    assert [w.code for w in found] == expected
    assert all("/etc/keys/one" in w.message for w in found)


@pytest.fixture
def dolmen(tmp_path: Path) -> Dolmen:
    """Give the command line."""
    return Dolmen(tmp_path)


def test_strict_makes_warnings_errors_and_writes_nothing(dolmen: Dolmen, tmp_path: Path) -> None:
    (tmp_path / "image.yml").write_text("services: []\n")
    words = ("build", "--dir", "out", "--json", "image.yml")
    strict = dolmen.run(*words, "--strict")
    assert strict.returncode == 1
    result = json.loads(strict.stdout)
    assert [e["code"] for e in result["errors"]] == ["DM0533"]
    assert result["errors"][0]["severity"] == "error"
    assert "error[DM0533]" in strict.stderr
    assert "warning[" not in strict.stderr
    assert not list((tmp_path / "out").glob("*"))
    done = dolmen.run(*words)
    assert done.returncode == 0
    assert [w["code"] for w in json.loads(done.stdout)["warnings"]] == ["DM0533"]
    # An unchanged build is not read again, but its warnings count.
    assert dolmen.run(*words, "--strict").returncode == 1
