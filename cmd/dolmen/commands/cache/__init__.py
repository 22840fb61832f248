"""`dolmen cache`: the table of commands for the store."""

from __future__ import annotations

from dolmen.lazy import LazyCommand, command_group

_HELP = """Manage the image store.

\b
    dolmen cache pull alpine:3.20        # pull an image from its registry
    dolmen cache ls                      # list images
    dolmen cache export alpine:3.20 --outfile alpine.tar
    dolmen cache clean --keep-bytes 5G   # free disk space

The store is an OCI image layout that other tools can read and write. Set its directory with
--cache, DOLMEN_CACHE or LINUXKIT_CACHE; the default is ~/.cache/dolmen.
"""
_PACKAGE = "dolmen.commands.cache"

app = command_group(
    _HELP,
    (
        LazyCommand("ls", f"{_PACKAGE}.ls", "List the images in the store."),
        LazyCommand("pull", f"{_PACKAGE}.pull", "Pull images from registries."),
        LazyCommand("push", f"{_PACKAGE}.push", "Push images to registries."),
        LazyCommand("import", f"{_PACKAGE}.import_", "Import images from an archive."),
        LazyCommand("export", f"{_PACKAGE}.export", "Export an image as an archive."),
        LazyCommand("inspect", f"{_PACKAGE}.inspect", "Show an image in detail."),
        LazyCommand("rm", f"{_PACKAGE}.rm", "Remove images from the store."),
        LazyCommand("clean", f"{_PACKAGE}.clean", "Remove unneeded data from the store."),
        LazyCommand("verify", f"{_PACKAGE}.verify", "Verify the store, and repair it."),
    ),
)
