"""Loading images into the local Docker daemon, for `docker run`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from assembler import tools
from assembler.dockerfile import check_local_daemon, open_workspace
from assembler.errors import wrap_os_errors
from assembler.events import task
from assembler.oci import (
    ArchiveFormat,
    ExportOptions,
    MissingImage,
    export_archive,
    host_platform,
    look_up_image,
)
from assembler.tools import program_error, run_program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assembler.events import Reporter
    from assembler.oci import Reference, Store

_VARIABLES = ("PATH", "HOME", "USER", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK")


def load_into_docker(
    store: Store, references: Sequence[Reference], reporter: Reporter, *, offline: bool = False
) -> None:
    """Load images of this machine's platform into the daemon; it cannot run others."""
    docker, platform = tools.require_program("docker"), host_platform()
    if offline:
        check_local_daemon([str(docker)])
    environment = {
        k: v for k, v in os.environ.items() if k.startswith("DOCKER_") or k in _VARIABLES
    }
    for reference in references:
        if isinstance(look_up_image(store, reference, platform), MissingImage):
            continue
        with open_workspace(store) as directory, task(reporter, f"load {reference}") as progress:
            archive = directory / "image.tar"
            with wrap_os_errors(archive), archive.open("xb") as file:
                export_archive(
                    store, ExportOptions(reference, ArchiveFormat.DOCKER, platform), file, reporter
                )
            command: list[str | Path] = [docker, "load", "--quiet", "--input", archive]
            outcome = run_program(command, environment)
            if outcome.status:
                raise program_error(command, outcome, "check that `docker info` works")
            progress.outcome = "loaded"
