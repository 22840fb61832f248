"""Write the text and binary indexes of kernel modules as depmod does."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from assembler.debian.kernel_modules import KernelModule, builtin_modinfo, module_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_MAGIC, _VERSION = 0xB007F457, 0x00020001
_NODE_PREFIX, _NODE_VALUES, _NODE_CHILDREN = 0x80000000, 0x40000000, 0x20000000
_ALIASES_COMMENT = "# Aliases extracted from modules themselves."
_SOFTDEPS_COMMENT = "# Soft dependencies extracted from modules themselves."
_SYMBOLS_COMMENT = "# Aliases for symbols, used by symbol_request()."
_DEVNAMES_COMMENT = "# Device nodes to trigger on-demand module loading."
_BRACKETS = re.compile(r"(\[[^\]]*\])")
_DEVICE_ALIAS = re.compile(r"(?P<kind>char|block)-major-(?P<major>\d+)-(?P<minor>\d+)")

# A key of an index, its value, and the value's priority among several.
IndexItem = tuple[str, str, int]


def module_indexes(
    modules: Sequence[KernelModule], order: bytes, builtin: bytes, modinfo: bytes
) -> dict[str, bytes]:
    """Return the index files by name.

    `order`, `builtin` and `modinfo` are the kernel's modules.order, modules.builtin and
    modules.builtin.modinfo.
    """
    positions = {line: i for i, line in enumerate(order.decode("utf-8", "replace").splitlines())}
    ordered = sorted(
        modules, key=lambda m: (positions.get(_uncompressed_path(m.path), len(positions)), m.path)
    )
    by_name = {m.name: m for m in ordered}
    dependency_lines = {
        m.name: f"{m.path}: {' '.join(d.path for d in module_dependencies(m, by_name))}".rstrip()
        for m in ordered
    }
    built_in = [
        module_name(line) for line in builtin.decode("utf-8", "replace").splitlines() if line
    ]
    aliases = [(a, m.name, i) for i, m in enumerate(ordered) for a in m.aliases]
    symbols = [(f"symbol:{s}", m.name, i) for i, m in enumerate(ordered) for s in m.symbols]
    built_in_aliases = [
        (_normalize_alias(value), module, 0)
        for module, key, value in builtin_modinfo(modinfo)
        if key == "alias"
    ]
    softdeps = [f"softdep {m.name} {text}" for m in ordered for text in m.softdeps]
    return {
        "modules.dep": _text_index("", dependency_lines.values()),
        "modules.dep.bin": binary_index(
            (m.name, dependency_lines[m.name], i) for i, m in enumerate(ordered)
        ),
        "modules.alias": _text_index(_ALIASES_COMMENT, (f"alias {a} {n}" for a, n, _ in aliases)),
        "modules.alias.bin": binary_index((_normalize_alias(a), n, i) for a, n, i in aliases),
        "modules.softdep": _text_index(_SOFTDEPS_COMMENT, softdeps),
        "modules.symbols": _text_index(_SYMBOLS_COMMENT, (f"alias {s} {n}" for s, n, _ in symbols)),
        "modules.symbols.bin": binary_index(symbols),
        "modules.builtin.bin": binary_index((name, "", 0) for name in built_in),
        "modules.builtin.alias.bin": binary_index(built_in_aliases),
        "modules.devname": _text_index(_DEVNAMES_COMMENT, _devname_lines(ordered)),
    }


def module_dependencies(
    module: KernelModule, by_name: Mapping[str, KernelModule]
) -> list[KernelModule]:
    """Return all dependencies of a module; each comes before the modules that it needs itself."""
    dependencies: dict[str, None] = {}
    stack: list[tuple[str, bool]] = [(name, False) for name in reversed(module.depends)]
    seen = {module.name}
    while stack:
        name, is_done = stack.pop()
        if is_done:
            dependencies.setdefault(name)
        elif name in by_name and name not in dependencies and name not in seen:
            seen.add(name)
            stack.append((name, True))
            stack += [(inner, False) for inner in reversed(by_name[name].depends)]
    return [by_name[name] for name in reversed(dependencies)]


def binary_index(items: Iterable[IndexItem]) -> bytes:
    """Return an index in kmod's binary format: a trie of the keys."""
    by_key: dict[bytes, list[tuple[int, bytes]]] = {}
    for key, value, priority in items:
        if key.isascii():
            by_key.setdefault(key.encode(), []).append((priority, value.encode()))
    out = bytearray(struct.pack(">III", _MAGIC, _VERSION, 0))
    keys = sorted(by_key)
    root = _write_node(out, keys, by_key, 0, len(keys), 0, own_prefix=False)
    struct.pack_into(">I", out, 8, root)
    return bytes(out)


def _write_node(
    out: bytearray,
    keys: Sequence[bytes],
    values: Mapping[bytes, list[tuple[int, bytes]]],
    start: int,
    end: int,
    depth: int,
    *,
    own_prefix: bool = True,
) -> int:
    """Write the node of keys[start:end], whose first `depth` characters the parents hold."""
    prefix_end = (
        _common_prefix_end(keys[start], keys[end - 1], depth)
        if own_prefix and start < end
        else depth
    )
    prefix = keys[start][depth:prefix_end] if start < end else b""
    node_values = values[keys[start]] if start < end and len(keys[start]) == prefix_end else []
    position = start + bool(node_values)
    children: dict[int, int] = {}
    while position < end:
        byte, first = keys[position][prefix_end], position
        while position < end and keys[position][prefix_end] == byte:
            position += 1
        children[byte] = _write_node(out, keys, values, first, position, prefix_end + 1)
    flags, offset = 0, len(out)
    if prefix:
        flags |= _NODE_PREFIX
        out += prefix + b"\0"
    if children:
        flags |= _NODE_CHILDREN
        lowest, highest = min(children), max(children)
        out += bytes([lowest, highest])
        for byte in range(lowest, highest + 1):
            out += struct.pack(">I", children.get(byte, 0))
    if node_values:
        flags |= _NODE_VALUES
        out += struct.pack(">I", len(node_values))
        for priority, value in sorted(node_values):
            out += struct.pack(">I", priority) + value + b"\0"
    return offset | flags


def _common_prefix_end(one: bytes, other: bytes, depth: int) -> int:
    """Return the length of the common prefix of two keys, and of all keys between them."""
    end = min(len(one), len(other))
    while depth < end and one[depth] == other[depth]:
        depth += 1
    return depth


def _devname_lines(modules: Iterable[KernelModule]) -> Iterator[str]:
    for module in modules:
        names = [a.removeprefix("devname:") for a in module.aliases if a.startswith("devname:")]
        nodes = [m for m in map(_DEVICE_ALIAS.fullmatch, module.aliases) if m]
        if names and nodes:
            node = nodes[0]
            yield f"{module.name} {names[0]} {node['kind'][0]}{node['major']}:{node['minor']}"


def _normalize_alias(alias: str) -> str:
    parts = _BRACKETS.split(alias)
    return "".join(p if p.startswith("[") else p.replace("-", "_") for p in parts)


def _uncompressed_path(path: str) -> str:
    return path.partition(".ko")[0] + ".ko"


def _text_index(comment: str, lines: Iterable[str]) -> bytes:
    head = [comment] if comment else []
    return "".join(f"{line}\n" for line in [*head, *lines]).encode()
