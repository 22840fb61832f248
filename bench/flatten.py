#!/usr/bin/env python3
"""Flattening all images and handing their content on, against isal inflating the same layers."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from isal import igzip_lib

from assembler.oci import (
    ExcludedPaths,
    Image,
    LayerBlob,
    LayerLimits,
    Platform,
    Reference,
    Store,
    TarReader,
    find_image,
    flatten_layers,
)

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
WORKLOAD = HERE / "work" / "images"
ROUNDS = 5


class Nowhere:
    """A sink that takes everything and keeps nothing."""

    def restart(self) -> None:
        """Forget nothing, as there is nothing."""

    def add(self, _name: bytes, reader: TarReader) -> None:
        """Read the content."""
        if reader.size:
            reader.write_to(len)

    def link(self, _name: bytes, _target: bytes, _reader: TarReader) -> None:
        """Take a link."""


def flatten_all(store: Store, images: list[Image]) -> None:
    """Flatten every image."""
    for image in images:
        what = str(image.reference)
        layers = [
            LayerBlob(d.digest, d.size, partial(store.open, d, what)) for d in image.manifest.layers
        ]
        flatten_layers(what, layers, Nowhere(), ExcludedPaths(), LayerLimits())


def inflate_all(store: Store, images: list[Image]) -> None:
    """Inflate every layer."""
    for image in images:
        for layer in image.manifest.layers:
            with store.open(layer) as file:
                stream = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
                data = file.read(1 << 18)
                while not stream.eof:
                    stream.decompress(data, 1 << 20)
                    data = file.read(1 << 18) if stream.needs_input else b""


def seconds(work: Callable[[], None]) -> float:
    """Return the CPU time that the work takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Measure, and print the table."""
    if not (WORKLOAD / "expect.json").exists():
        maker = HERE / "make_workload.py"
        subprocess.run([sys.executable, maker, WORKLOAD], check=True, stdout=subprocess.DEVNULL)
    store = Store(WORKLOAD / "layout")
    platform = Platform("linux", "amd64")
    images = [find_image(store, Reference.parse(e.name), platform) for e in store.names().entries]
    inflating, flattening = [], []
    for _ in range(ROUNDS):
        inflating.append(seconds(partial(inflate_all, store, images)))
        flattening.append(seconds(partial(flatten_all, store, images)))
    base, ours = statistics.median(inflating), statistics.median(flattening)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print("| | CPU s | ratio | peak RSS MiB | goals | |")
    print("|---|---:|---:|---:|---|---|")
    print(f"| isal inflating all layers (baseline) | {base:.2f} | 1.00 | | | |")
    verdict = "met" if ours <= 1.5 * base and memory <= 64 else "missed"
    row = f"| flattening all images | {ours:.2f} | {ours / base:.2f} | {memory}"
    print(f"{row} | ratio 1.5, 64 MiB | {verdict} |")


if __name__ == "__main__":
    main()
