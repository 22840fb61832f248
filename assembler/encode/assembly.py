"""The assembly: an encoded plan that formats write from, as tar or initrd, with its kernel.

`Assembly.prepare` makes the missing segments in several processes. Everything is then streamed from
segments: nothing large is in memory. Generated parts are encoded in every build.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import IO, TYPE_CHECKING, cast

from assembler.content import ContentChain, ContentRecorder, FileRange, write_content
from assembler.encode import kernel_support, tar_encoder
from assembler.encode.automatic_compression import compression_for, encoding_for
from assembler.encode.compression import CODECS, Compression
from assembler.encode.encode_options import EncodeOptions
from assembler.encode.generated_parts import (
    ExtractedFile,
    TarPart,
    WrittenPaths,
    merged_database,
    open_source,
    write_entry,
)
from assembler.encode.initrd_writer import InitrdWriter, write_ramdisks
from assembler.encode.inventory import lost_capabilities
from assembler.encode.joined_archive import ALIGNMENT
from assembler.encode.member_job import MemberJob, MemberRequest, member_jobs
from assembler.encode.placement import Placement, place_parts
from assembler.encode.segment_job import TAR_ENCODING, ArchiveEncoding, SegmentJob
from assembler.encode.segment_pool import SegmentPool
from assembler.encode.shared_files import SharedFiles, find_shared_files
from assembler.encode.system_checks import find_problems
from assembler.encode.tree_job import TreeJob, captured_path
from assembler.errors import wrap_os_errors
from assembler.events import NullReporter, Reporter, WarningEmitted
from assembler.files import preallocate
from assembler.rootfs import (
    ArchiveTree,
    GeneratedEntry,
    GeneratedPart,
    ImageMember,
    ImageTree,
    MergedPackageDatabase,
    Part,
    Plan,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from assembler.encode.archive_record import ArchiveRecordInputs
    from assembler.encode.inventory import Inventory
    from assembler.encode.segment_cache import Segment
    from assembler.oci import Store

# Usual upper bounds: the headers of an entry, and the end of the archive.
_ENTRY_ROOM, _END_ROOM = 8 << 10, 4 << 20
_SOME_DIRECTORY = "the directory of temporary files"


class Assembly:
    """An encoded plan, and everything that formats take from it."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        options: EncodeOptions | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        """Set up the assembly; formats then ask for what they need."""
        self.plan = plan
        self.store = store
        self.options = options or EncodeOptions()
        self.reporter = reporter or NullReporter()
        self._segments = SegmentPool(store, self.options.limits, self.options.jobs, self.reporter)
        self._stack = ExitStack()
        self._warned = False
        # Whether an output is meant to boot: then what it lacks for that is a warning.
        self.boots = False
        # Known as soon as there are segments.
        self._placement: Placement | None = None
        self._initrds: dict[bool, ContentChain] = {}
        # By the prefix of a tree; known as soon as there are segments for an initrd.
        self._shared: dict[str, SharedFiles] | None = None
        self._initrd_compression: Compression | None = None

    def close(self) -> None:
        """Close all files."""
        self._segments.close()
        self._initrds.clear()
        self._stack.close()

    def __enter__(self) -> Assembly:
        """Return the assembly; the end of the block closes all files."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close all files."""
        self.close()

    # For formats

    @property
    def initrd_encoding(self) -> ArchiveEncoding:
        """Return the encoding of the initrd; that of a part may have another level."""
        return ArchiveEncoding(self.initrd_compression)

    @property
    def initrd_compression(self) -> Compression:
        """Return the compression of the initrd: as the options say, or by the kernel."""
        if self._initrd_compression is None:
            own = None if self.options.is_automatic else self.options.compression
            self._initrd_compression = own or compression_for(self.kernel_config())
        return self._initrd_compression

    def prepare(self, *, tree: bool = False, initrd: bool = False, boot: bool = False) -> None:
        """Make the needed segments that the cache lacks."""
        encodings = ([TAR_ENCODING] if tree else []) + ([self.initrd_encoding] if initrd else [])
        self._segments.ensure(list(self._jobs(encodings, boot=boot)))
        if encodings and self._placement is None:
            before = self.plan
            self._place(encodings[-1])
            if self.plan != before:
                self._segments.ensure(list(self._jobs(encodings, boot=boot)))
        if initrd and self._shared is None:
            self._share_files()
        self._segments.check_ahead(
            self._segment_name(part, encoding)
            for encoding in encodings
            for part in self.plan.parts
            if isinstance(part, ImageTree | ArchiveTree)
        )
        if initrd:
            self._check_unpacking()

    def _share_files(self) -> None:
        """Find files that several trees of the initrd have, and encode these trees again."""
        self._shared = {}
        encoding = self.initrd_encoding
        self._shared = find_shared_files(
            self.plan.parts,
            lambda part: self._segments.get(self._segment_name(part, encoding)).details.get(
                "large", {}
            ),
        )
        if self._shared:
            self._segments.ensure(list(self._jobs([encoding], boot=False)))

    def _place(self, encoding: ArchiveEncoding) -> None:
        """Follow the links in the paths of the plan; segments of the encoding have them."""
        self._placement = place_parts(
            self.plan.parts, lambda part: self._segments.get(self._segment_name(part, encoding))
        )
        self.plan = replace(self.plan, parts=self._placement.parts)
        is_initrd = encoding == self.initrd_encoding if self.boots else None
        doubts = find_problems(self.plan, self._placement.paths, boots_from_initrd=is_initrd)
        for warning in (*self._placement.warnings, *doubts):
            self.reporter.emit(WarningEmitted(warning))

    def _check_unpacking(self) -> None:
        compression = self.initrd_compression
        if CODECS[compression.codec].kernel_option and (config := self.kernel_config()):
            kernel_support.check_initrd_compression(*config, compression)

    def kernel_config(self) -> tuple[bytes, ImageMember] | None:
        """Return the kernel's configuration and its file, if the kernel image has one."""
        members = kernel_support.kernel_config_members(self.plan.boot)
        # The image is read once, for the kernel as well.
        wanted = [*map(_optional, members), *self._boot_requests()]
        missing = [w for w in wanted if self._segments.find(w.name) is None]
        if any(request.optional for request in missing):
            self._segments.build(list(member_jobs(missing)))
        for member in members:
            segment = self._segments.get_checked(MemberJob.of(_optional(member)))
            if segment.details["there"]:
                size = min(segment.size, kernel_support.LARGEST_CONFIG)
                return os.pread(segment.file.fileno(), size, 0), member
        return None

    def write_tree(
        self,
        out: IO[bytes],
        extra: Sequence[GeneratedPart] = (),
        origins: ArchiveRecordInputs | None = None,
    ) -> None:
        """Write the whole tree as a tar, then `extra`; `origins` go into the record at its head."""
        self.prepare(tree=True)
        self._preallocate(out, TAR_ENCODING)
        if origins is not None:
            from assembler.encode.archive_record import encode_record  # noqa: PLC0415 - only tars have it

            out.write(encode_record(origins, self.plan, self._recorded_segment))
        for piece in self.tree(extra):
            if isinstance(piece, FileRange):
                write_content(out, piece)
            else:
                out.write(piece)

    def tree(self, extra: Sequence[GeneratedPart] = ()) -> Iterator[bytes | memoryview | FileRange]:
        """Yield the whole tree as a tar; use each piece before asking for the next."""
        self.prepare(tree=True)
        written = WrittenPaths()
        for part in (*self.plan.parts, *extra):
            if isinstance(part, ImageTree | ArchiveTree):
                segment = self._segments.get_checked(self._tree_job(part, TAR_ENCODING))
                yield segment.data()
                written.add(segment.inventory())
            elif (made := self._generated_part(part)) is not None:
                part_writer = TarPart(made.origin)
                for entry in written.missing(made.entries):
                    with self._open_content(entry) as content:
                        write_entry(part_writer.encoder, part_writer, entry, content)
                        yield from part_writer.take_pieces()
                written.add(part_writer.inventory)
        yield tar_encoder.TAR_END

    def write_initrd(self, out: IO[bytes], *, ucode: bool = True) -> None:
        """Write the tree without boot/* as one or more compressed archives."""
        self.prepare(initrd=True, boot=ucode and self.plan.boot is not None)
        if ucode and (early := self.ucode()) is not None:
            write_content(out, early.content)
            out.write(bytes(-early.size % ALIGNMENT))
        self._preallocate(out, self.initrd_encoding)
        writer = self._initrd_writer(out)
        writer.write(self.plan.parts)
        self._warn_about_lost_capabilities(writer.inventories)

    def ramdisks(self) -> list[ContentChain]:
        """Return the initrd without microcode as one or two: modules and init, and the rest."""
        self.prepare(initrd=True)
        recorder = ContentRecorder(self.temporary_file())
        writer = self._initrd_writer(cast("IO[bytes]", recorder))
        with wrap_os_errors(self._temporary_directory or _SOME_DIRECTORY):
            found = write_ramdisks(writer, recorder, self.plan.parts)
        self._warn_about_lost_capabilities(writer.inventories)
        return found

    def _initrd_writer(self, out: IO[bytes]) -> InitrdWriter:
        return InitrdWriter(
            out,
            self.initrd_compression,
            lambda part: self._segments.get_checked(self._tree_job(part, self.initrd_encoding)),
            self._generated_part,
            self._open_content,
        )

    def initrd(self, *, ucode: bool = True) -> ContentChain:
        """Return the initrd as content; it is made once, and segments are not copied."""
        if ucode not in self._initrds:
            recorder = ContentRecorder(self.temporary_file())
            with wrap_os_errors(self._temporary_directory or _SOME_DIRECTORY):
                self.write_initrd(cast("IO[bytes]", recorder), ucode=ucode)
                self._initrds[ucode] = recorder.content()
        return self._initrds[ucode]

    def temporary_file(self) -> IO[bytes]:
        """Return a file for content that outputs refer to; it is closed with the assembly."""
        import tempfile  # noqa: PLC0415 - slow to load, and seldom needed

        directory = self._temporary_directory
        with wrap_os_errors(directory or _SOME_DIRECTORY):
            file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed with the rest
        self._stack.callback(file.close)
        return file

    @property
    def _temporary_directory(self) -> Path | None:
        tmp = self.store.layout.tmp
        return tmp if os.access(tmp, os.W_OK) else None

    def _preallocate(self, out: IO[bytes], encoding: ArchiveEncoding) -> None:
        """Reserve room for an output; too much is fine, the rest is released."""
        room = _END_ROOM
        for part in self.plan.parts:
            if isinstance(part, ImageTree | ArchiveTree):
                room += self._segments.get(self._segment_name(part, encoding)).size
            elif isinstance(part, GeneratedPart):
                room += sum(_ENTRY_ROOM + self._content_size(e) for e in part.entries)
        preallocate(out, room)

    def _content_size(self, entry: GeneratedEntry) -> int:
        """Return the size of a generated entry's content."""
        content = entry.content
        if isinstance(content, ImageMember):
            return self._extracted_file(content).size
        return len(content) if isinstance(content, bytes) else content.size

    def kernel(self) -> ExtractedFile | None:
        """Return the kernel, if the system has one."""
        return self._extracted_file(self.plan.boot.kernel) if self.plan.boot else None

    def ucode(self) -> ExtractedFile | None:
        """Return the microcode for the kernel, if the system has one."""
        boot = self.plan.boot
        return self._extracted_file(boot.ucode) if boot and boot.ucode else None

    @property
    def cmdline(self) -> str:
        """Return the kernel's command line, or nothing."""
        return self.plan.boot.cmdline if self.plan.boot else ""

    # Segments

    def _jobs(self, encodings: Sequence[ArchiveEncoding], *, boot: bool) -> Iterator[SegmentJob]:
        requests: list[MemberRequest] = []
        seen: set[str] = set()
        for encoding in encodings:
            for part in self.plan.parts:
                if isinstance(part, ImageTree):
                    job = self._tree_job(part, encoding)
                    if job.segment_names[0] not in seen:
                        seen.update(job.segment_names)
                        yield job
                elif isinstance(part, ArchiveTree):
                    requests.append(MemberRequest(part, encoding))
                elif isinstance(part, GeneratedPart) and encoding == TAR_ENCODING:
                    boot = boot or any(isinstance(e.content, ImageMember) for e in part.entries)
        requests += self._boot_requests() if boot else []
        if self.initrd_encoding in encodings:
            requests += map(_optional, kernel_support.kernel_config_members(self.plan.boot))
        missing = [w for w in requests if self._segments.find(w.name) is None]
        yield from member_jobs(missing)

    def _boot_requests(self) -> list[MemberRequest]:
        """Return the kernel and its microcode, as far as the system has them."""
        boot = self.plan.boot
        return [MemberRequest(m) for m in (boot.kernel, boot.ucode) if m] if boot else []

    def _tree_job(self, part: ImageTree | ArchiveTree, encoding: ArchiveEncoding) -> SegmentJob:
        """Return the job that makes the segment of a part."""
        if isinstance(part, ArchiveTree):
            return MemberJob.of(MemberRequest(part, encoding))
        databases = [p for p in self.plan.parts if isinstance(p, MergedPackageDatabase)]
        shared = () if encoding == TAR_ENCODING else (self._shared or {}).get(part.prefix, ())
        encoding = encoding_for(part, encoding) if self.options.is_automatic else encoding
        return TreeJob(part, encoding, captured_path(part, databases), shared)

    def _segment_name(self, part: ImageTree | ArchiveTree, encoding: ArchiveEncoding) -> str:
        return self._tree_job(part, encoding).segment_names[0]

    def _recorded_segment(self, part: ImageTree | ArchiveTree | ImageMember) -> Segment:
        name = (
            MemberRequest(part).name
            if isinstance(part, ImageMember)
            else self._segment_name(part, TAR_ENCODING)
        )
        return self._segments.get(name)

    def _extracted_file(self, member: ImageMember) -> ExtractedFile:
        request = MemberRequest(member)
        if self._segments.find(request.name) is None:
            self.prepare(boot=True)
        segment = self._segments.get_checked(MemberJob.of(request))
        return ExtractedFile(segment.data(), int(segment.details["mode"]))

    # Generated parts

    def _generated_part(self, part: Part) -> GeneratedPart | None:
        if isinstance(part, GeneratedPart):
            return part
        if isinstance(part, MergedPackageDatabase):
            return self._merged_database(part)
        return None

    def _merged_database(self, part: MergedPackageDatabase) -> GeneratedPart | None:
        found = []
        for image in part.images:
            for tree in self.plan.parts:
                if isinstance(tree, ImageTree) and tree.image == image and not tree.prefix:
                    found.append(self._captured_content(tree, part.path))
                    break
        return merged_database(part, [c for c in found if c is not None])

    def _captured_content(self, tree: ImageTree, path: str) -> bytes | None:
        for encoding in (TAR_ENCODING, self.initrd_encoding):
            segment = self._segments.find(self._segment_name(tree, encoding))
            if segment is not None:
                return segment.captured(path)
        return None

    @contextmanager
    def _open_content(self, entry: GeneratedEntry) -> Iterator[bytes | ExtractedFile]:
        """Yield the content of an entry: bytes, or a file that is open during the block."""
        content = entry.content
        if isinstance(content, bytes):
            yield content
            return
        if isinstance(content, ImageMember):
            yield self._extracted_file(content)
            return
        with closing(open_source(self.store, content, entry.path)) as file:
            yield ExtractedFile(FileRange(file.fileno(), content.size), entry.mode)

    def _warn_about_lost_capabilities(self, inventories: Sequence[Inventory]) -> None:
        warning = lost_capabilities(inventories)
        if warning is not None and not self._warned:
            self._warned = True
            self.reporter.emit(WarningEmitted(warning))


def _optional(member: ImageMember) -> MemberRequest:
    return MemberRequest(member, optional=True)
