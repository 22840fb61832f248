"""`dolmen cache`: the store of images, from the command line."""

from __future__ import annotations

from dolmen.lazy import Lazy, group

_HELP = """Manage the store of images.

\b
    dolmen cache pull alpine:3.20        # bring an image from its registry
    dolmen cache ls                      # what is there
    dolmen cache export alpine:3.20 --outfile alpine.tar
    dolmen cache clean --keep-bytes 5G   # make room

The store is an OCI image layout, so other tools can read it and write it: its place
is given by --cache, DOLMEN_CACHE or LINUXKIT_CACHE, else it is ~/.cache/dolmen.
"""
_HERE = "dolmen.commands.cache"

app = group(
    _HELP,
    (
        Lazy("ls", f"{_HERE}.ls", "List the images in the store."),
        Lazy("pull", f"{_HERE}.pull", "Bring images from their registries."),
        Lazy("push", f"{_HERE}.push", "Send images to their registries."),
        Lazy("import", f"{_HERE}.import_", "Bring images from a file or standard input."),
        Lazy("export", f"{_HERE}.export", "Write an image into a file or to standard output."),
        Lazy("inspect", f"{_HERE}.inspect", "Show what an image is made of."),
        Lazy("rm", f"{_HERE}.rm", "Remove images from the store."),
        Lazy("clean", f"{_HERE}.clean", "Remove what is not needed, or not much."),
        Lazy("verify", f"{_HERE}.verify", "Check every byte of the store, and repair it."),
    ),
)
