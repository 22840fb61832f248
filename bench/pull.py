#!/usr/bin/env python3
"""Pulling 250 MB in some ten images from a docker-registry on this machine into an empty store.

The baseline is `skopeo copy` of the same images into an OCI layout. A third program pulls with the
means of oras alone, as `oras.client` has them: the reason why Dolmen's downloads are its own. Runs
alternate; the registry and the disk are those of all.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
WORK = HERE / "work"
sys.path.insert(0, str(HERE.parent / "test"))

from support.registry_server import registry_server  # noqa: E402 - it is the tests' own

RUNS = 7
GOAL_RATIO = 1.2
GOAL_MIB = 64

WITH_ORAS = """
import hashlib, pathlib, sys
import oras.client
client = oras.client.OrasClient(insecure=True)
out = pathlib.Path(sys.argv[1]); out.mkdir()
for name in sys.argv[2:]:
    manifest = client.get_manifest(name)
    for blob in (manifest["config"], *manifest["layers"]):
        path = out / blob["digest"][7:]
        if not path.exists():
            client.download_blob(name, blob["digest"], str(path))
            assert hashlib.file_digest(path.open("rb"), "sha256").hexdigest() == path.name
"""


def workload() -> Path:
    """Return the layout with the images, made if it is not there."""
    directory = WORK / "images"
    if not (directory / "expect.json").exists():
        sys.stderr.write("making the workload\n")
        WORK.mkdir(exist_ok=True)
        maker = [sys.executable, HERE / "make_workload.py", directory]
        subprocess.run([*maker, "--scale", "1.0"], check=True, stdout=sys.stderr)
    return directory / "layout"


def fill(layout: Path, host: str) -> list[str]:
    """Push the images to the registry and return their names there."""
    names = []
    for entry in json.loads((layout / "index.json").read_text())["manifests"]:
        reference = entry["annotations"]["org.opencontainers.image.ref.name"]
        names.append(f"{host}/bench/{reference.rpartition('/')[2]}")
        copy = [program("skopeo"), "--insecure-policy", "copy", "-q", "--dest-tls-verify=false"]
        subprocess.run([*copy, f"oci:{layout}:{reference}", f"docker://{names[-1]}"], check=True)
    return names


def program(name: str) -> str:
    """Return the path of a program, or end."""
    found = shutil.which(name)
    if found is None:
        sys.exit(f"{name} is not installed; the benchmark needs it")
    return found


def measured(command: list[str]) -> tuple[float, float]:
    """Run a command and return its seconds and its peak of memory in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def with_skopeo(out: Path, names: list[str]) -> list[str]:
    """Return a command that copies all images, one after the other as skopeo does it."""
    copies = "\n".join(
        f"{program('skopeo')} --insecure-policy copy -q --src-tls-verify=false "
        f"docker://{name} oci:{out}:{name.rpartition('/')[2]}"
        for name in names
    )
    return ["sh", "-ec", copies]


def main() -> None:
    """Measure and print the table."""
    layout = workload()
    dolmen = str(Path(sys.executable).parent / "dolmen")
    with (
        tempfile.TemporaryDirectory(dir=WORK) as directory,
        registry_server(Path(directory) / "registry") as server,
    ):
        names = fill(layout, server.host)
        out = Path(directory) / "out"
        commands = {
            "skopeo copy (baseline)": with_skopeo(out, names),
            "dolmen cache pull": [dolmen, "-q", "--cache", str(out), "cache", "pull", *names],
            "oras alone": [sys.executable, "-c", WITH_ORAS, str(out), *names],
        }
        results: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for run in range(RUNS):
            for name, command in commands.items():
                shutil.rmtree(out, ignore_errors=True)
                os.sync()
                results[name].append(measured(command))
            sys.stderr.write(f"run {run + 1} of {RUNS}\n")
        size = sum(p.stat().st_size for p in out.iterdir())
    show(results, len(names), size)


def show(results: dict[str, list[tuple[float, float]]], images: int, size: int) -> None:
    """Print the table: medians, and the ratio to the baseline of the same round."""
    base = [seconds for seconds, _ in results["skopeo copy (baseline)"]]
    print(f"{size / 1e6:.0f} MB in {images} images, median of {RUNS} rounds.\n")
    print("| command | wall s | ratio | peak RSS MiB | goals | |")
    print("|---|---:|---:|---:|---|---|")
    for name, runs in results.items():
        wall = statistics.median(seconds for seconds, _ in runs)
        ratio = statistics.median(s / b for (s, _), b in zip(runs, base, strict=True))
        memory = max(mib for _, mib in runs)
        goals = verdict = ""
        if name.startswith("dolmen"):
            goals = f"ratio {GOAL_RATIO}, {GOAL_MIB} MiB"
            verdict = "met" if ratio <= GOAL_RATIO and memory < GOAL_MIB else "missed"
        print(f"| {name} | {wall:.2f} | {ratio:.2f} | {memory:.0f} | {goals} | {verdict} |")


if __name__ == "__main__":
    main()
