"""The indexes that modprobe looks modules up in: what depmod would write, text and binary."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence

from assembler.debian.kernel_modules import KernelModule, builtin_modinfo, module_name

_MAGIC, _VERSION = 0xB007F457, 0x00020001
_PREFIX, _VALUES, _CHILDREN = 0x80000000, 0x40000000, 0x20000000
_ALIASES = "# Aliases extracted from modules themselves."
_SOFTDEPS = "# Soft dependencies extracted from modules themselves."
_SYMBOLS = "# Aliases for symbols, used by symbol_request()."
_DEVNAMES = "# Device nodes to trigger on-demand module loading."
_BRACKETS = re.compile(r"(\[[^\]]*\])")
_NODE = re.compile(r"(?P<kind>char|block)-major-(?P<major>\d+)-(?P<minor>\d+)")

# A key of an index, the value it stands for, and its rank among several.
IndexItem = tuple[str, str, int]


def module_indexes(
    modules: Sequence[KernelModule], order: bytes, builtin: bytes, modinfo: bytes
) -> dict[str, bytes]:
    """Return the files to put beside the modules, by name.

    The last three are the package's modules.order, modules.builtin and modules.builtin.modinfo.
    """
    ranks = {line: i for i, line in enumerate(order.decode("utf-8", "replace").splitlines())}
    ranked = sorted(modules, key=lambda m: (ranks.get(_uncompressed(m.path), len(ranks)), m.path))
    by_name = {m.name: m for m in ranked}
    lines = {
        m.name: f"{m.path}: {' '.join(d.path for d in module_dependencies(m, by_name))}".rstrip()
        for m in ranked
    }
    built_in = [
        module_name(line) for line in builtin.decode("utf-8", "replace").splitlines() if line
    ]
    aliases = [(a, m.name, i) for i, m in enumerate(ranked) for a in m.aliases]
    symbols = [(f"symbol:{s}", m.name, i) for i, m in enumerate(ranked) for s in m.symbols]
    built_in_aliases = [
        (_normal_alias(value), module, 0)
        for module, key, value in builtin_modinfo(modinfo)
        if key == "alias"
    ]
    softdeps = [f"softdep {m.name} {text}" for m in ranked for text in m.softdeps]
    return {
        "modules.dep": _text("", lines.values()),
        "modules.dep.bin": binary_index((m.name, lines[m.name], i) for i, m in enumerate(ranked)),
        "modules.alias": _text(_ALIASES, (f"alias {a} {n}" for a, n, _ in aliases)),
        "modules.alias.bin": binary_index((_normal_alias(a), n, i) for a, n, i in aliases),
        "modules.softdep": _text(_SOFTDEPS, softdeps),
        "modules.symbols": _text(_SYMBOLS, (f"alias {s} {n}" for s, n, _ in symbols)),
        "modules.symbols.bin": binary_index(symbols),
        "modules.builtin.bin": binary_index((name, "", 0) for name in built_in),
        "modules.builtin.alias.bin": binary_index(built_in_aliases),
        "modules.devname": _text(_DEVNAMES, _device_nodes(ranked)),
    }


def module_dependencies(
    module: KernelModule, by_name: Mapping[str, KernelModule]
) -> list[KernelModule]:
    """Return all a module needs, so that loading from the last to the first works."""
    done: dict[str, None] = {}
    stack: list[tuple[str, bool]] = [(name, False) for name in reversed(module.depends)]
    under_way = {module.name}
    while stack:
        name, left = stack.pop()
        if left:
            done.setdefault(name)
        elif name in by_name and name not in done and name not in under_way:
            under_way.add(name)
            stack.append((name, True))
            stack += [(inner, False) for inner in reversed(by_name[name].depends)]
    return [by_name[name] for name in reversed(done)]


def binary_index(items: Iterable[IndexItem]) -> bytes:
    """Return an index as kmod reads it: a tree over the characters of the keys."""
    by_key: dict[bytes, list[tuple[int, bytes]]] = {}
    for key, value, rank in items:
        if key.isascii():
            by_key.setdefault(key.encode(), []).append((rank, value.encode()))
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
    """Write the node for keys[start:end], of which `depth` characters are told by those above."""
    stop = (
        _common_prefix_end(keys[start], keys[end - 1], depth)
        if own_prefix and start < end
        else depth
    )
    prefix = keys[start][depth:stop] if start < end else b""
    own = values[keys[start]] if start < end and len(keys[start]) == stop else []
    at = start + bool(own)
    children: dict[int, int] = {}
    while at < end:
        letter, first = keys[at][stop], at
        while at < end and keys[at][stop] == letter:
            at += 1
        children[letter] = _write_node(out, keys, values, first, at, stop + 1)
    flags, offset = 0, len(out)
    if prefix:
        flags |= _PREFIX
        out += prefix + b"\0"
    if children:
        flags |= _CHILDREN
        low, high = min(children), max(children)
        out += bytes([low, high])
        for letter in range(low, high + 1):
            out += struct.pack(">I", children.get(letter, 0))
    if own:
        flags |= _VALUES
        out += struct.pack(">I", len(own))
        for rank, value in sorted(own):
            out += struct.pack(">I", rank) + value + b"\0"
    return offset | flags


def _common_prefix_end(one: bytes, other: bytes, depth: int) -> int:
    """Return how far two keys are the same; keys between them in order are the same as well."""
    end = min(len(one), len(other))
    while depth < end and one[depth] == other[depth]:
        depth += 1
    return depth


def _device_nodes(modules: Iterable[KernelModule]) -> Iterator[str]:
    for module in modules:
        names = [a.removeprefix("devname:") for a in module.aliases if a.startswith("devname:")]
        nodes = [m for m in map(_NODE.fullmatch, module.aliases) if m]
        if names and nodes:
            node = nodes[0]
            yield f"{module.name} {names[0]} {node['kind'][0]}{node['major']}:{node['minor']}"


def _normal_alias(alias: str) -> str:
    parts = _BRACKETS.split(alias)
    return "".join(p if p.startswith("[") else p.replace("-", "_") for p in parts)


def _uncompressed(path: str) -> str:
    return path.partition(".ko")[0] + ".ko"


def _text(comment: str, lines: Iterable[str]) -> bytes:
    head = [comment] if comment else []
    return "".join(f"{line}\n" for line in [*head, *lines]).encode()
