"""Linux from source: options asked for in fragments, their check, and the compilation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.linux.compilation import KernelBuild, compile_kernel
    from assembler.linux.configuration import KernelTree, configure_kernel, open_kernel_tree
    from assembler.linux.fragments import Fragment, join_fragments, parse_fragment
    from assembler.linux.kconfig import KconfigTree, read_kconfig
    from assembler.linux.option_check import UnmetOption, unmet_options
    from assembler.linux.toolchain_root import ToolchainRoot, unpack_toolchain

_HOMES = {
    "Fragment": "fragments",
    "KconfigTree": "kconfig",
    "KernelBuild": "compilation",
    "KernelTree": "configuration",
    "ToolchainRoot": "toolchain_root",
    "UnmetOption": "option_check",
    "compile_kernel": "compilation",
    "configure_kernel": "configuration",
    "join_fragments": "fragments",
    "open_kernel_tree": "configuration",
    "parse_fragment": "fragments",
    "read_kconfig": "kconfig",
    "unmet_options": "option_check",
    "unpack_toolchain": "toolchain_root",
}

__all__ = [
    "Fragment",
    "KconfigTree",
    "KernelBuild",
    "KernelTree",
    "ToolchainRoot",
    "UnmetOption",
    "compile_kernel",
    "configure_kernel",
    "join_fragments",
    "open_kernel_tree",
    "parse_fragment",
    "read_kconfig",
    "unmet_options",
    "unpack_toolchain",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
