"""`dolmen pkg`: the table of commands for packages."""

from __future__ import annotations

from dolmen.lazy import LazyCommand, command_group

_HELP = """Build packages: images made from directories.

A package is a directory with a build.yml. Its image is named ORG/IMAGE:TAG. TAG is git's hash of
the directory's tree, so the same sources have the same name everywhere.

\b
    dolmen pkg build pkg/sshd        # build its image
    dolmen pkg show-tag pkg/sshd     # print the image's name

Packages come with Dolmen, too: `dolmen pkg list` shows them, and @dolmen:NAME names one.
"""

app = command_group(
    _HELP,
    (
        LazyCommand("build", "dolmen.commands.pkg.build", "Build the images of packages."),
        LazyCommand(
            "show-tag", "dolmen.commands.pkg.show_tag", "Print the image names of packages."
        ),
        LazyCommand(
            "inputs", "dolmen.commands.pkg.inputs", "Print the inputs of packages' images."
        ),
        LazyCommand("list", "dolmen.commands.pkg.list", "List the packages that Dolmen brings."),
        LazyCommand("show", "dolmen.commands.pkg.show", "Describe a package that Dolmen brings."),
        LazyCommand(
            "new", "dolmen.commands.pkg.new", "Create a package from a commented template."
        ),
        LazyCommand("push", "dolmen.commands.pkg.push", "Build packages and push their images."),
        LazyCommand(
            "publish", "dolmen.commands.pkg.publish", "Push a repository of packages for @oci:."
        ),
        LazyCommand("index", "dolmen.commands.pkg.index", "Push an index of pushed architectures."),
        LazyCommand("manifest", "dolmen.commands.pkg.index", "Alias of `index`."),
        LazyCommand(
            "builder", "dolmen.commands.pkg.builder", "Show or clear the storage of builders."
        ),
        LazyCommand("remote-tag", "dolmen.commands.pkg.remote_tag", "Tag an image at a registry."),
        LazyCommand("lock", "dolmen.commands.pkg.lock", "Lock the Debian packages of recipes."),
    ),
    shared="build",
)
