"""Doubts about a whole system that only its trees can settle: programs, an init, a runtime.

All of it is looked up in the index of the segments; no layer is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import rootfs as codes
from assembler.diagnostics import Diagnostic, Severity
from assembler.encode.tree_paths import (
    BlockedPathError,
    GeneratedPaths,
    PathKind,
    SegmentPaths,
    TreePaths,
    follow,
    shown,
)
from assembler.rootfs import EntryKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.codes import Code
    from assembler.diagnostics import Place
    from assembler.rootfs import ContainerProgram, Plan

_RUNTIMES = (b"containerd", b"runc", b"crun", b"youki", b"runsc", b"kata-runtime", b"podman")
# What a kernel starts from an initrd, and from a root filesystem on a disk.
_INIT = ("/init",)
_INIT_ON_DISK = ("/sbin/init", "/etc/init", "/bin/init", "/bin/sh")


def find_problems(
    plan: Plan, paths: TreePaths, *, boots_from_initrd: bool | None
) -> Iterator[Diagnostic]:
    """Yield all warnings; None means that no output is meant to boot."""
    yield from find_missing_programs(plan, paths)
    if boots_from_initrd is not None:
        yield from find_boot_problems(plan, paths, initrd=boots_from_initrd)


def find_missing_programs(plan: Plan, paths: TreePaths) -> Iterator[Diagnostic]:
    """Yield a warning for each container whose program is not in its image."""
    trees: dict[str, _ContainerTree] = {}
    for program in plan.programs:
        tree = trees.get(program.tree)
        if tree is None:
            tree = trees[program.tree] = _ContainerTree(program.tree, paths)
        problem = tree.problem(program)
        if problem:
            what, *hints = problem
            yield _warning(
                codes.PROGRAM_MISSING,
                f"{program.container!r} cannot start: {program.image} {what}",
                program.place,
                *hints,
            )


def find_boot_problems(plan: Plan, paths: TreePaths, *, initrd: bool) -> Iterator[Diagnostic]:
    """Yield warnings about a system that boots, but lacks a kernel, an init or a runtime."""
    candidates = _init_candidates(plan, initrd=initrd)
    has_init = any(_is_file(path, paths) for path in candidates)
    if plan.boot is None:
        what = "kernel" if has_init else "kernel and no init"
        yield _warning(
            codes.NOT_BOOTABLE,
            f"the system has no {what}: by itself it does not boot",
            plan.place,
            "add the sections `kernel` and `init`, or build a root filesystem with --format tar",
        )
    elif not has_init:
        names = " or ".join(candidates)
        yield _warning(
            codes.NOT_BOOTABLE,
            f"the system has no init: no image of `init` has {names}",
            plan.init_place or plan.place,
            "the kernel starts this program first; add an image with an init to `init`",
        )
    if plan.programs and has_init and not _has_runtime(paths):
        yield _warning(
            codes.NOT_BOOTABLE,
            "the system has containers, but no program that starts them",
            plan.init_place or plan.place,
            "add an image with containerd, runc or crun to `init`",
        )


def _init_candidates(plan: Plan, *, initrd: bool) -> tuple[str, ...]:
    key = "rdinit=" if initrd else "init="
    words = plan.boot.cmdline.split() if plan.boot is not None else []
    named = tuple(word.removeprefix(key) for word in words if word.startswith(key))
    return named or (_INIT if initrd else (*_INIT, *_INIT_ON_DISK))


def _is_file(path: str, paths: TreePaths) -> bool:
    try:
        return paths.kind(follow(path.encode(), paths.kind, file_at_end=True)) is EntryKind.FILE
    except BlockedPathError:
        return False


def _has_runtime(paths: TreePaths) -> bool:
    for part in paths.parts:
        if isinstance(part, GeneratedPaths):
            names = {path.rpartition(b"/")[2] for path in part.kinds}
        elif part.prefix:
            continue
        elif any(b"/%b\0" % name in part.programs for name in _RUNTIMES):
            return True
        else:
            names = {path.rpartition(b"/")[2] for path in part.links}
        if not names.isdisjoint(_RUNTIMES):
            return True
    return False


@dataclass(frozen=True, slots=True)
class _Missing:
    """Why a path is no program."""

    reason: str


class _ContainerTree:
    """The tree of a container's image."""

    def __init__(self, prefix: str, paths: TreePaths) -> None:
        self._prefix = prefix.encode()
        self._paths = TreePaths()
        self._paths.parts = [
            part
            for part in paths.parts
            if isinstance(part, GeneratedPaths) or part.prefix == self._prefix
        ]

    def problem(self, program: ContainerProgram) -> tuple[str, ...]:
        """Return why a program cannot be started, with hints, or nothing."""
        words = (
            [_absolute(program.program, program.directory)]
            if "/" in program.program
            else [
                _absolute(f"{folder or '.'}/{program.program}", program.directory)
                for folder in program.search
            ]
        )
        reasons: list[str] = []
        for word in words:
            found = self._look_up(word, program)
            if not isinstance(found, _Missing):
                return ()
            reasons += [found.reason] if found.reason else []
        if reasons:
            return (f"has no such program: {reasons[0]}",)
        name = program.program
        where = "" if "/" in name else f" in {':'.join(program.search)}"
        return (f"has no {name}{where}", *self._hints(name))

    def _look_up(self, path: str, program: ContainerProgram) -> _Missing | None:
        """Return why there is no program at a path; nothing if there is, or if a mount has it."""
        if _is_mounted(path, program):
            return None
        try:
            real = follow(path.encode(), self._kind, file_at_end=True)
        except BlockedPathError as error:
            return _Missing(str(error))
        if _is_mounted("/" + shown(real), program):
            return None
        kind = self._kind(real)
        if kind is None:
            is_link = real != self._unfollowed(path.encode())
            what = f"the link {path} leads to {shown(real)}, which does not exist"
            return _Missing(what if is_link else "")
        if kind is EntryKind.DIRECTORY:
            return _Missing(f"{path} is a directory")
        return None if self._is_executable(real) else _Missing(f"{path} is not executable")

    def _unfollowed(self, path: bytes) -> bytes:
        """Return a path whose directories are followed, but not its last name."""
        directory, _, name = path.rpartition(b"/")
        return b"/".join(word for word in (follow(directory, self._kind), name) if word)

    def _kind(self, path: bytes) -> PathKind | None:
        return self._paths.kind(self._prefix + path)

    def _is_executable(self, path: bytes) -> bool:
        last = self._paths.parts[::-1]
        for part in last:
            if part.kind(self._prefix + path, with_files=True) is not None:
                return not isinstance(part, SegmentPaths) or part.is_program(self._prefix + path)
        return False

    def _hints(self, name: str) -> Iterator[str]:
        """Yield where the image has a program of this name."""
        base = b"/%b\0" % name.rpartition("/")[2].encode()
        for part in self._paths.parts:
            if isinstance(part, SegmentPaths) and base in part.programs:
                end = part.programs.index(base) + len(base) - 1
                start = part.programs.rindex(b"\0", 0, end) + 1 + len(self._prefix)
                yield f"the image has /{shown(part.programs[start:end])}"
                return
        yield "set `command`, or mend Entrypoint and Cmd of the image"


def _absolute(path: str, directory: str) -> str:
    """Return a path without . and empty names, relative to a directory."""
    whole = path if path.startswith("/") else f"{directory}/{path}"
    return "/" + "/".join(word for word in whole.split("/") if word not in ("", "."))


def _is_mounted(path: str, program: ContainerProgram) -> bool:
    """Tell whether a mount of the container may supply a path."""
    mounts = (mount.rstrip("/") for mount in program.mounted)
    return any(path == mount or path.startswith(f"{mount}/") for mount in mounts)


def _warning(code: Code, message: str, place: Place | None, *hints: str) -> Diagnostic:
    return Diagnostic(code, message, place, hints, severity=Severity.WARNING)
