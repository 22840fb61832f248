"""The commands that are disturbed, and how an undisturbed one ends: the reference."""

from __future__ import annotations

import fcntl
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from faults.invariants import Result
from faults.material import ARCHIVE, LOADERS, ROOTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_OUT = ("--dir", "{out}", "--name", "image", "--jobs", "2", "{project}/image.yml")
_PKG = ("pkg", "build", "--hash", "1", "--platforms", "amd64", "--force")
_OFFLINE_PKG = (*_PKG, "--offline")


@dataclass(frozen=True)
class Scenario:
    """A command; `{store}`, `{out}` and `{project}` in its words are replaced by paths."""

    name: str
    words: tuple[str, ...]
    # The store that it begins with: "images", "empty", or "warm" after the same command.
    start: str = "images"
    # Whether a registry and an archive have to be there.
    served: bool = False
    environment: tuple[tuple[str, str], ...] = ()


def _recipe(engine: str, archive: str) -> tuple[tuple[str, str], ...]:
    return (
        ("DOLMEN_DEBIAN_MIRROR", f"[trusted=yes] {archive}"),
        ("DOLMEN_RECIPE_ENGINE", engine),
    )


_FILE, _HTTP = "file:{project}/archive", f"http://{ARCHIVE}/archive/"
BUILD = Scenario(
    "build", ("build", "--offline", "--format", "kernel+initrd,tar-kernel-initrd", *_OUT)
)
WARM_BUILD = Scenario(
    "build from segments", ("build", "--offline", "--format", "tar", *_OUT), "warm"
)
DISKS = Scenario(
    "build disks",
    ("build", "--offline", "--format", "raw-efi,iso-efi", "--bootloaders", LOADERS, *_OUT),
)
ONLINE_BUILD = Scenario(
    "build and pull", ("build", "--format", "kernel+initrd", *_OUT), "empty", served=True
)
PULL = Scenario("pull", ("cache", "pull", *ROOTS), "empty", served=True)
IMPORT = Scenario("import", ("cache", "import", "{project}/images.tar"), "empty")
EXPORT = Scenario("export", ("cache", "export", "-o", "{out}/oci.tar", *list(ROOTS)[:1]))
CLEAN = Scenario("clean", ("cache", "clean"))
VERIFY = Scenario("verify", ("cache", "verify"), "warm")
DOCKERFILE = Scenario("pkg build of a Dockerfile", (*_OFFLINE_PKG, "{project}/dockerfile"))
RECIPE = Scenario(
    "pkg build of a recipe",
    (*_OFFLINE_PKG, "{project}/recipe"),
    "empty",
    environment=_recipe("python", _FILE),
)
WARM_RECIPE = Scenario(
    "pkg build of a recipe again", RECIPE.words, "warm", environment=RECIPE.environment
)
APT_RECIPE = Scenario(
    "pkg build of a recipe with apt",
    RECIPE.words,
    "empty",
    environment=_recipe("apt", _FILE),
)
HTTP_RECIPE = Scenario(
    "pkg build of a recipe over http",
    (*_PKG, "{project}/recipe"),
    "empty",
    served=True,
    environment=_recipe("python", _HTTP),
)
URL_BUILD = Scenario(
    "build from a URL",
    (*("build", "--format", "kernel+initrd"), *_OUT[:-1], f"http://{ARCHIVE}/image.yml"),
    served=True,
)
# The commands that work without a server.
LOCAL = (
    *(BUILD, WARM_BUILD, DISKS, IMPORT, EXPORT, CLEAN, VERIFY),
    *(DOCKERFILE, RECIPE, WARM_RECIPE, APT_RECIPE),
)


@dataclass(frozen=True)
class Reference:
    """An undisturbed command: its result, its duration, and its counts of system calls."""

    result: Result
    seconds: float
    # Bytes that the store and the directory of outputs grow by.
    store_growth: int
    out_growth: int
    calls: Mapping[str, int]


def reference_of(
    folder: Path, scenario: Scenario, make: Callable[[Scenario], Reference]
) -> Reference:
    """Return the reference of a scenario, made by whoever needs it first."""
    path = folder / f"{scenario.name}.json"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            path.write_text(json.dumps(asdict(make(scenario))))
        read = json.loads(path.read_text())
    return Reference(**(read | {"result": Result(**read["result"])}))
