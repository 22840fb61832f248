"""Extract single files from an image: the kernel, microcode, and the tar of the modules.

One pass through the layers extracts all requested files of an image. Links are followed.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler import magics
from assembler.codes import layers as codes
from assembler.encode import salvaged_trees, segment_cache
from assembler.encode.byte_sinks import FileOutput
from assembler.encode.segment_job import TAR_ENCODING, ArchiveEncoding, JobContext
from assembler.encode.tree_writer import TreePlacement, TreeWriter
from assembler.errors import DolmenError, LayerError
from assembler.oci import (
    DIRECTORY,
    FILE,
    HARD_LINK,
    SYMLINK,
    Image,
    MalformedTarError,
    TarReader,
    flatten_layers,
    normalize_tar_path,
)
from assembler.rootfs import (
    ArchiveTree,
    ImageMember,
    decompress_kernel,
    irregular_member_error,
    missing_member_error,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.encode.newc_encoder import HardLinks
    from assembler.encode.segment_cache import SegmentWriter

# Increase it when the bytes for the same image change.
_VERSION = 1
_MAX_LINKS = 16
_MAX_NAMES = 200


@dataclass(frozen=True, slots=True)
class MemberRequest:
    """A file to extract from an image, as a file or as a tree, and the name of its segment."""

    member: ImageMember | ArchiveTree
    encoding: ArchiveEncoding | None = None
    # A missing optional file becomes an empty segment with the detail "there": false.
    optional: bool = False

    @property
    def path(self) -> str:
        """Return the name of the file in the image's root."""
        return self.member.member if isinstance(self.member, ArchiveTree) else self.member.name

    @property
    def name(self) -> str:
        """Return the name of the segment."""
        if isinstance(self.member, ImageMember):
            return segment_cache.segment_key(
                kind=f"{'optional' if self.optional else 'member'}/{_VERSION}",
                manifest=self.member.image.digest,
                path=self.path,
                decompress=self.member.decompress,
                **salvaged_trees.salvage_key(self.member.image),
            )
        encoding = self.encoding or TAR_ENCODING
        origin = self.member.origin
        return segment_cache.segment_key(
            kind=f"membertree/{_VERSION}",
            form=encoding.identity,
            manifest=self.member.image.digest,
            path=self.path,
            origin=[origin.source, origin.location] if encoding == TAR_ENCODING else None,
            **salvaged_trees.salvage_key(self.member.image),
        )


@dataclass(frozen=True, slots=True)
class MemberJob:
    """Extract several files of one image."""

    image: Image
    requests: tuple[MemberRequest, ...]

    @classmethod
    def of(cls, request: MemberRequest) -> MemberJob:
        """Return the job of a single request."""
        return cls(request.member.image, (request,))

    @property
    def segment_names(self) -> tuple[str, ...]:
        """The names of its segments."""
        return tuple(request.name for request in self.requests)

    @property
    def title(self) -> str:
        """A description for users."""
        return f"{', '.join(request.path for request in self.requests)} of {self.image.reference}"

    def run(self, sources: JobContext) -> None:
        """Make the segments."""
        cache = sources.cache
        with ExitStack() as stack:
            writers = [
                _MemberWriter(request, stack.enter_context(cache.create(request.name)))
                for request in self.requests
            ]
            paths = {request.path.encode(): request.path.encode() for request in self.requests}
            for _ in range(_MAX_LINKS):
                sink = _MemberSink(paths, writers)
                flatten_layers(
                    str(self.image.reference),
                    sources.layers(self.image),
                    sink,
                    limits=sources.limits,
                )
                more = sink.links_to_follow()
                if not more and not any(t.needs_retry for t in writers):
                    break
                paths.update(more)
                sink.restart()
            for writer in writers:
                if not writer.found and not writer.request.optional:
                    raise sink.missing(writer)
                writer.segment.details["there"] = writer.found


class _MemberWriter:
    """Write one file into its segment."""

    def __init__(self, request: MemberRequest, segment: SegmentWriter) -> None:
        self.request = request
        self.segment = segment
        self.found = False
        self.needs_retry = False
        self._learned: HardLinks | None = None

    def restart(self) -> None:
        self.segment.restart()
        self.found = self.needs_retry = False

    def write(self, reader: TarReader) -> None:
        self.found = True
        member = self.request.member
        if isinstance(member, ArchiveTree):
            self._unpack(member, reader)
            return
        output = FileOutput(self.segment.file.fileno())
        if member.decompress:
            source = _MemberStream(reader.chunks())
            for piece in decompress_kernel(source, str(member.image.reference), place=member.place):
                output.put(piece)
        else:
            reader.write_to(output.put)
        output.finish()
        self.segment.details.update(crc32=output.checksum, mode=reader.mode)

    def _unpack(self, part: ArchiveTree, reader: TarReader) -> None:
        """Encode the entries of an archive in the image with unchanged names."""
        what = f"{part.image.reference}, {part.member}"
        placement = TreePlacement(
            part.origin,
            "",
            what,
            segment_cache.segment_key(member=part.member, of=part.image.digest),
        )
        writer = TreeWriter(
            self.segment, self.request.encoding or TAR_ENCODING, placement, self._learned
        )
        inner = TarReader(_refuse_compressed(reader.chunks(), part.member))
        try:
            add, link = writer.encoder.add, writer.encoder.link
            while inner.next():
                name = _entry_name(inner.name)
                if not name:
                    continue
                if inner.kind == HARD_LINK:
                    link(name, _entry_name(inner.link), inner)
                else:
                    add(name, inner)
        except MalformedTarError as error:
            # The entry that is wrong, not the one before it.
            at = f", entry {inner.name.decode('utf-8', 'backslashreplace')}" if inner.name else ""
            raise LayerError.of(codes.NOT_AN_ARCHIVE, f"{what}{at}: {error}") from None
        hard_links = writer.finish(what)
        if hard_links is not None:
            self._learned, self.needs_retry = hard_links, True


def _entry_name(name: bytes) -> bytes:
    """Return the name without outer slashes; refuse names that leave the root."""
    if not normalize_tar_path(name):
        return b""
    return name.strip(b"/")


def _refuse_compressed(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Pass the chunks on; refuse a compressed archive."""
    for first in chunks:
        compression = magics.compression_of(first)
        if compression and not magics.is_tar(first):
            raise MalformedTarError(
                f"{name} is compressed with {compression}; it must be a plain tar"
            )
        yield first
        break
    yield from chunks


class _MemberStream:
    """A readable stream of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        if not self._rest:
            self._rest = next(self._chunks, b"")
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class _MemberSink:
    """Extract the requested files from the tree, and note the other files of the root."""

    def __init__(self, paths: dict[bytes, bytes], writers: list[_MemberWriter]) -> None:
        """Set up; `paths` maps the name of a requested file to its real path."""
        self._paths = paths
        self._writers = writers
        self._targets: dict[bytes, bytes] = {}
        self._others: dict[bytes, int] = {}
        self._root_files: list[str] = []

    def restart(self) -> None:
        for writer in self._writers:
            writer.restart()
        self._targets.clear()
        self._others.clear()
        self._root_files.clear()

    def add(self, name: bytes, reader: TarReader) -> None:
        if b"/" not in name and reader.kind == FILE and len(self._root_files) < _MAX_NAMES:
            self._root_files.append(name.decode("utf-8", "backslashreplace"))
        for writer in self._writers:
            if self._paths[writer.request.path.encode()] != name:
                continue
            if reader.kind == FILE:
                self._write_member(writer, name, reader)
            elif reader.kind == SYMLINK:
                target = reader.link
                if target[:1] != b"/":
                    target = name[: name.rfind(b"/") + 1] + target
                self._targets[name] = normalize_tar_path(target)
            else:
                self._others[name] = reader.kind

    def _write_member(self, writer: _MemberWriter, name: bytes, reader: TarReader) -> None:
        same = [
            t
            for t in self._writers
            if self._paths[t.request.path.encode()] == name and t is not writer
        ]
        if any(t.found for t in same):
            if writer.request.optional:
                return
            raise _same_file_error(writer, same[0])
        writer.write(reader)

    def link(self, name: bytes, target: bytes, reader: TarReader) -> None:  # noqa: ARG002
        if name in self._paths.values():
            self._targets[name] = target

    def links_to_follow(self) -> dict[bytes, bytes]:
        """Return the requested names that are links, with their targets."""
        return {
            path: self._targets[real] for path, real in self._paths.items() if real in self._targets
        }

    def missing(self, writer: _MemberWriter) -> DolmenError:
        """Return the error for a file that was not found."""
        path = self._paths[writer.request.path.encode()]
        if path in self._others:
            what = "a directory" if self._others[path] == DIRECTORY else "a device"
            return irregular_member_error(writer.request.member, what)
        if path != writer.request.path.encode():
            return irregular_member_error(writer.request.member, "a dangling link")
        return missing_member_error(writer.request.member, self._root_files)


def _same_file_error(one: _MemberWriter, other: _MemberWriter) -> DolmenError:
    return LayerError.of(
        codes.NOT_AN_ARCHIVE,
        f"{one.request.member.image.reference}: {one.request.path!r} and {other.request.path!r} "
        "are the same file",
    )


def member_jobs(requests: Iterable[MemberRequest]) -> list[MemberJob]:
    """Return jobs for the requests: one per image, more if a file is requested in two ways."""
    groups: list[dict[str, MemberRequest]] = []
    for request in {request.name: request for request in requests}.values():
        digest = request.member.image.digest
        for group in groups:
            if request.path not in group and all(
                other.member.image.digest == digest for other in group.values()
            ):
                group[request.path] = request
                break
        else:
            groups.append({request.path: request})
    return [MemberJob(next(iter(g.values())).member.image, tuple(g.values())) for g in groups]
