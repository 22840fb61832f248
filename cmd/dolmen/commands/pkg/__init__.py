"""`dolmen pkg`: the table of commands for packages."""

from __future__ import annotations

from dolmen.lazy import Lazy, group

_HELP = """Build packages: images made from directories.

A package is a directory with a build.yml. Its image is called ORG/IMAGE:TAG, where the tag is the
hash of the directory's tree in git: the same sources have the same name everywhere.

\b
    dolmen pkg build pkg/sshd        # make its image
    dolmen pkg show-tag pkg/sshd     # what the package is called
"""

app = group(
    _HELP,
    (
        Lazy("build", "dolmen.commands.pkg.build", "Make the images of packages."),
        Lazy("show-tag", "dolmen.commands.pkg.show_tag", "Print the names of packages."),
        Lazy("inputs", "dolmen.commands.pkg.inputs", "Print what goes into packages' images."),
        Lazy("new", "dolmen.commands.pkg.new", "Begin a package with commented files."),
        Lazy("push", "dolmen.commands.pkg.push", "Push the images of packages."),
        Lazy("index", "dolmen.commands.pkg.index", "Make the index of pushed architectures."),
        Lazy("manifest", "dolmen.commands.pkg.index", "The same as `index`."),
        Lazy("builder", "dolmen.commands.pkg.builder", "What builders keep: du, prune."),
        Lazy(
            "remote-tag",
            "dolmen.commands.pkg.remote_tag",
            "Give an image at a registry another tag.",
        ),
        Lazy("lock", "dolmen.commands.pkg.lock", "Write down which Debian packages are used."),
    ),
)
