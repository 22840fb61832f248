"""Dolmen: assemble bootable Linux images from OCI images.

This is the Python API. Names are imported when they are first used, so `import dolmen` is cheap;
the work is done by `assembler`, whose modules make no promise to callers. docs/library.md shows how
the API is used. The command line lives in the submodules and is not part of the API.
"""

import _signal  # type: ignore[import-not-found]  # the module `signal` takes time to load
import sys

# With `python -m dolmen`, Ctrl-C ends the process in silence from here on; see `__main__`.
if (
    sys.argv[:1] == ["-m"]
    and ("-m", "dolmen") in zip(sys.orig_argv, sys.orig_argv[1:], strict=False)
    and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler
):
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from assembler.build import (
        BuildOptions,
        BuildResult,
        LockedReference,
        PlannedPart,
        SbomOptions,
        SystemPlan,
        ValidationResult,
        build,
        lock_references,
        merged_yaml,
        plan,
        validate,
    )
    from assembler.diagnostics import Diagnostic, Place, Severity
    from assembler.errors import (
        ConfigError,
        DolmenError,
        HostError,
        ImageError,
        LayerError,
        MachineError,
        OutputError,
        PackageError,
        PlanError,
        RegistryError,
        UsageError,
    )
    from assembler.events import (
        Event,
        LogMessage,
        TaskAdvanced,
        TaskEnded,
        TaskNoted,
        TaskStarted,
        WarningEmitted,
    )
    from assembler.formats import Output
    from assembler.inspection import Inspection, inspect_file
    from assembler.oci import ImageSources, Mirror, Platform, RegistryOptions, Store
    from assembler.scaffold import write_new_file
    from assembler.serve import ServeOptions, Server
    from assembler.version import __version__
    from dolmen import machine, packages

_HOMES = {
    "assembler.build": (
        "BuildOptions",
        "BuildResult",
        "LockedReference",
        "PlannedPart",
        "SbomOptions",
        "SystemPlan",
        "ValidationResult",
        "build",
        "lock_references",
        "merged_yaml",
        "plan",
        "validate",
    ),
    "assembler.diagnostics": ("Diagnostic", "Place", "Severity"),
    "assembler.errors": (
        "ConfigError",
        "DolmenError",
        "HostError",
        "ImageError",
        "LayerError",
        "MachineError",
        "OutputError",
        "PackageError",
        "PlanError",
        "RegistryError",
        "UsageError",
    ),
    "assembler.events": (
        "Event",
        "LogMessage",
        "TaskAdvanced",
        "TaskEnded",
        "TaskNoted",
        "TaskStarted",
        "WarningEmitted",
    ),
    "assembler.formats": ("Output",),
    "assembler.oci": ("ImageSources", "Mirror", "Platform", "RegistryOptions", "Store"),
    "assembler.inspection": ("Inspection", "inspect_file"),
    "assembler.scaffold": ("write_new_file",),
    "assembler.serve": ("ServeOptions", "Server"),
    "assembler.version": ("__version__",),
}
_MODULES = ("machine", "packages")

__all__ = [
    "BuildOptions",
    "BuildResult",
    "ConfigError",
    "Diagnostic",
    "DolmenError",
    "Event",
    "HostError",
    "ImageError",
    "ImageSources",
    "Inspection",
    "LayerError",
    "LockedReference",
    "LogMessage",
    "MachineError",
    "Mirror",
    "Output",
    "OutputError",
    "PackageError",
    "Place",
    "PlanError",
    "PlannedPart",
    "Platform",
    "RegistryError",
    "RegistryOptions",
    "SbomOptions",
    "ServeOptions",
    "Server",
    "Severity",
    "Store",
    "SystemPlan",
    "TaskAdvanced",
    "TaskEnded",
    "TaskNoted",
    "TaskStarted",
    "UsageError",
    "ValidationResult",
    "WarningEmitted",
    "__version__",
    "build",
    "inspect_file",
    "lock_references",
    "machine",
    "merged_yaml",
    "packages",
    "plan",
    "validate",
    "write_new_file",
]


def __getattr__(name: str) -> "Any":  # noqa: ANN401 - whatever the module has under that name
    if name in _MODULES:
        return importlib.import_module(f"dolmen.{name}")
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'dolmen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
