"""The result of an unchanged build is returned as it was, warnings and their places included."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.build.options import BuildOptions, SbomOptions
from assembler.build.remembered import cache_key, recall, remember
from assembler.build.result import BuildResult, PlannedPart
from assembler.codes import config as codes
from assembler.config import ConfigInput
from assembler.diagnostics import Diagnostic, Place, Remark, Severity, SourceText
from assembler.formats.written_output import Output
from assembler.oci import ImageSources

if TYPE_CHECKING:
    from collections.abc import Callable

INPUT = ConfigInput("image.yml", b"init: []\n", Path())
WARNINGS = (
    Diagnostic(
        codes.NO_EFFECT,
        "it has no effect",
        Place(SourceText("image.yml", "a: 1\r\nb: 2\nc: 3\n"), 2, 4, 1),
        ("leave it out",),
        (Remark("the first is here", Place(SourceText("b.yml", "x"), 1, 1)),),
        Severity.WARNING,
    ),
    Diagnostic(codes.SUSPICIOUS_VALUE, "odd", severity=Severity.WARNING),
)


@pytest.fixture
def result(tmp_path: Path) -> BuildResult:
    """Give the result of a build with an output and an image."""
    (tmp_path / "out.tar").write_bytes(b"tar")
    return BuildResult(
        (
            Output("tar", "tar", 3, tmp_path / "out.tar"),
            Output("oci", "image", 9, reference="docker.io/test/x:1", digest="sha256:1"),
        ),
        (PlannedPart("docker.io/test/init:1", "init[0]", "", "sha256:2"),),
        WARNINGS,
        {"plan": 0.5},
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Give the folder of a store."""
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


def test_a_result_is_recalled_as_it_was(store: Path, result: BuildResult) -> None:
    remember(store, "key", result, ["docker.io/test/init:1"], [])
    found = recall(store, "key")
    assert found is not None
    assert found.unchanged
    assert found.as_json() | {"unchanged": False} == result.as_json()
    assert [d.as_json() for d in found.warnings] == [d.as_json() for d in WARNINGS]
    # The line of the excerpt is there, at its number.
    place = found.warnings[0].place
    assert place is not None
    assert place.source.line(place.line) == "b: 2"
    assert recall(store, "other") is None


def test_a_result_is_forgotten_with_its_output_or_its_source(
    store: Path, result: BuildResult, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    for path in (source, tmp_path / "out.tar"):
        source.write_bytes(b"1")
        remember(store, "key", result, [], [source])
        assert recall(store, "key") is not None
        path.write_bytes(b"changed")
        assert recall(store, "key") is None


def test_a_result_on_a_stream_is_not_remembered(store: Path, result: BuildResult) -> None:
    stream = replace(result, outputs=(*result.outputs, Output("tar", "tar", 3)))
    remember(store, "key", stream, [], [])
    assert recall(store, "key") is None


def test_what_another_version_has_written_is_no_result(store: Path, result: BuildResult) -> None:
    remember(store, "key", result, [], [])
    (path,) = (store / "stamps").iterdir()
    whole = json.loads(path.read_text())
    for change in ({"warnings": [{"code": "DM9999"}]}, {"outputs": [{}]}, {"parts": [{"x": 1}]}):
        path.write_text(json.dumps(whole | {"result": whole["result"] | change}))
        assert recall(store, "key") is None
    path.write_text(json.dumps(whole))
    assert recall(store, "key") is not None


@pytest.mark.parametrize(
    "change",
    [
        {"formats": ("tar",)},
        {"name": "other"},
        {"directory": Path("out")},
        {"output": Path("x.tar")},
        {"architecture": "arm64"},
        {"compression": "zstd"},
        {"disk_size": 1 << 30},
        {"decompress_kernel": True},
        {"input_tar": Path("earlier.tar")},
        {"sbom": None},
        {"sbom": SbomOptions(created=5)},
        {"helper_images": {"firmware": "x:1"}},
        {"build_missing": False},
    ],
)
def test_each_option_that_changes_the_result_changes_the_key(change: dict[str, object]) -> None:
    options = BuildOptions()
    key = cache_key(["image.yml"], options, [INPUT])
    assert key is not None
    assert cache_key(["image.yml"], BuildOptions(), [INPUT]) == key
    assert cache_key(["image.yml"], replace(options, **change), [INPUT]) not in (key, None)  # type: ignore[arg-type]


def test_the_key_depends_on_texts_places_and_keys_but_not_on_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key.pem").write_text("one")
    options = BuildOptions(secure_boot_key=tmp_path / "key.pem")
    keys = [cache_key(["image.yml"], options, [INPUT])]
    keys.append(cache_key(["image.yml"], BuildOptions(), [INPUT]))
    (tmp_path / "key.pem").write_text("two")
    keys.append(cache_key(["image.yml"], options, [INPUT]))
    keys.append(cache_key(["./image.yml"], BuildOptions(), [INPUT]))
    changed = replace(INPUT, content=b"init: [] \n")
    keys.append(cache_key(["image.yml"], BuildOptions(), [changed]))
    monkeypatch.chdir(tmp_path)
    keys.append(cache_key(["image.yml"], BuildOptions(), [INPUT]))
    assert None not in keys
    assert len(set(keys)) == len(keys)
    assert cache_key(["image.yml"], BuildOptions(jobs=7, force=True), [INPUT]) == keys[-1]


@pytest.mark.parametrize(
    "options",
    [
        lambda: BuildOptions(remember=False),
        lambda: BuildOptions(output=io.BytesIO()),
        lambda: BuildOptions(sources=ImageSources(pull=True)),
        lambda: BuildOptions(sources=ImageSources(docker=True)),
    ],
)
def test_what_depends_on_more_is_not_remembered(options: Callable[[], BuildOptions]) -> None:
    assert cache_key(["image.yml"], options(), [INPUT]) is None


def test_urls_and_packages_are_not_remembered() -> None:
    assert cache_key(["https://example.com/x.yml"], BuildOptions(), [INPUT]) is None
    for name in (b"@pkg:x", b"@dolmen:init"):
        packages = replace(INPUT, content=b"init: ['" + name + b"']")
        assert cache_key(["image.yml"], BuildOptions(), [packages]) is None
