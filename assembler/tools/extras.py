"""Libraries that only rare tasks need: the extras of the Python package `dolmen`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from assembler.codes import host
from assembler.errors import HostError


@dataclass(frozen=True, slots=True)
class Extra:
    """An extra of pyproject.toml, the module that shows that it is installed, and its use."""

    name: str
    module: str
    use: str

    @property
    def install(self) -> str:
        """Return the command that installs the extra."""
        return f"pip install 'dolmen[{self.name}]'"

    @property
    def installed(self) -> bool:
        """Tell whether the library of the extra is installed."""
        return find_spec(self.module) is not None


EXTRAS: dict[str, Extra] = {
    e.name: e
    for e in (
        Extra("docker", "docker", "images and builds of the local Docker daemon"),
        Extra("iso", "pycdlib", "Joliet and UDF names on ISO volumes (dolmen inspect)"),
        Extra("network", "pyroute2", "machines on bridges and tap devices of this host"),
        Extra("secure-boot", "cryptography", "keys and signatures for Secure Boot"),
    )
}


def require_extra(name: str) -> None:
    """Raise an error with the command to install an extra, unless it is installed."""
    extra = EXTRAS[name]
    if not extra.installed:
        raise HostError.of(
            host.EXTRA_MISSING,
            f"the Python library {extra.module} is not installed; it is needed for {extra.use}",
            extra.install,
        )
