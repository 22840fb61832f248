"""A boot as the TPM sees it: what firmware, boot loader, stub and kernel measure, in order."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.codes import measurement as codes
from assembler.errors import OutputError
from assembler.inspection import read_chunks
from assembler.measurement import secure_boot
from assembler.measurement.events import (
    ACTION,
    BOOT_PROGRAM,
    GPT,
    IPL,
    TAG,
    PredictedLog,
)
from assembler.measurement.initrds import delivered_initrd, file_initrd
from assembler.measurement.loader_entries import (
    CONFIGURATION,
    LoaderEntry,
    default_entry,
    read_entries,
)
from assembler.measurement.programs import INITRD_EVENT, OPTIONS_EVENT, EfiProgram
from assembler.media import KERNEL_BOOT, kernel_boot_digests

if TYPE_CHECKING:
    from assembler.inspection import BootVolume, DataSource
    from assembler.measurement.variables import SecureBootVariables

BOOT_PROGRAMS, BOOT_CONFIGURATION, KERNEL_INPUTS, KERNEL_CONFIGURATION = 4, 5, 9, 12
# Paths that firmware starts by itself, by architecture.
_PATHS = {
    "amd64": "EFI/BOOT/BOOTX64.EFI",
    "arm64": "EFI/BOOT/BOOTAA64.EFI",
    "riscv64": "EFI/BOOT/BOOTRISCV64.EFI",
}
# Releases of systemd whose stub and boot loader are compared with a TPM by the tests.
_KNOWN_RELEASES = frozenset({257})
_FIRST_WITH_SECTIONS = 252
_CALLING = "Calling EFI Application from Boot Option"
_EXITS = ("Exit Boot Services Invocation", "Exit Boot Services Returned with Success")


@dataclass(slots=True)
class ProgramCache:
    """Programs of a volume by their paths, which several predictions hash only once."""

    programs: dict[str, EfiProgram] = field(default_factory=dict)
    # What stubs pass to their kernels.
    initrds: dict[str, bytes | None] = field(default_factory=dict)

    def read(self, path: str, source: DataSource) -> EfiProgram:
        """Return the program in a file."""
        if path not in self.programs:
            self.programs[path] = EfiProgram.read(path, source)
        return self.programs[path]


@dataclass(slots=True)
class BootPrediction:
    """The events of a boot, and what starts."""

    log: PredictedLog = field(default_factory=PredictedLog)
    # Descriptions of the programs in the order in which they start.
    programs: list[str] = field(default_factory=list)
    # Paths of the unified kernel images that are there, but do not start.
    others: list[str] = field(default_factory=list)


def predict_boot(
    volume: BootVolume,
    *,
    secure: bool,
    variables: SecureBootVariables | None,
    architecture: str = "",
    programs: ProgramCache | None = None,
) -> BootPrediction:
    """Return what a machine measures that starts a volume."""
    cache = ProgramCache() if programs is None else programs
    return _Boot(volume, secure, variables, cache).run(architecture)


@dataclass(slots=True)
class _Boot:
    volume: BootVolume
    secure: bool
    variables: SecureBootVariables | None
    programs: ProgramCache
    result: BootPrediction = field(default_factory=BootPrediction)

    @property
    def log(self) -> PredictedLog:
        return self.result.log

    def run(self, architecture: str) -> BootPrediction:
        log = self.log
        if self.variables is None:
            log.doubt(
                (secure_boot.STATE,),
                "it holds the keys of the firmware, which are not given (--vars)",
            )
        else:
            secure_boot.note_variables(log, self.variables)
        log.add_text(BOOT_PROGRAMS, ACTION, _CALLING)
        log.add_separator(BOOT_PROGRAMS)
        log.add_separator(BOOT_CONFIGURATION)
        self._note_partitions()
        program = self._first(architecture)
        self._start(program)
        if program.is_unified:
            self._run_stub(program)
        elif program.version is not None and program.version.name == "systemd-boot":
            self._run_boot_loader(program)
        elif program.is_kernel:
            self._doubt_options(program)
        else:
            self._doubt_everything(program)
        for text in _EXITS:
            log.add_text(BOOT_CONFIGURATION, ACTION, text)
        return self.result

    def _first(self, architecture: str) -> EfiProgram:
        if self.volume.medium == "program":
            return self.programs.read("", self.volume.files[""])
        wanted = [_PATHS[architecture]] if architecture in _PATHS else list(_PATHS.values())
        found = [place for path in wanted if (place := self.volume.find(path))]
        if not found:
            raise OutputError.of(
                codes.NO_BOOT_PROGRAM,
                f"the volume has no {' or '.join(wanted)}",
                "boot entries in the firmware may start other programs of it",
            )
        return self.programs.read(*found[0])

    def _note_partitions(self) -> None:
        table = self.volume.partition_table
        if self.volume.medium == "program":
            reason = "it holds the partition table of the medium, which is not given"
            self.log.doubt((BOOT_CONFIGURATION,), reason)
        elif self.volume.medium == "disk" and table is not None:
            header, entries = table
            data = header + struct.pack("<Q", len(entries)) + b"".join(entries)
            digest = hashlib.sha256(data).digest()
            self.log.add(BOOT_CONFIGURATION, GPT, "partition table of the disk", digest)

    def _start(self, program: EfiProgram, what: str = "") -> None:
        """Note that firmware verifies and starts a program."""
        what = what or _description(program)
        self.result.programs.append(what)
        if self.secure and self.variables is not None:
            secure_boot.note_authority(self.log, self.variables, program, what)
        self.log.add(BOOT_PROGRAMS, BOOT_PROGRAM, what, program.authenticode)

    def _doubt_everything(self, program: EfiProgram) -> None:
        name = _description(program)
        self.log.doubt(
            (
                *(BOOT_PROGRAMS, BOOT_CONFIGURATION, secure_boot.STATE, KERNEL_INPUTS),
                *(KERNEL_BOOT, KERNEL_CONFIGURATION),
            ),
            f"what {name} measures and starts is not known: it is no unified kernel image, "
            "systemd-boot or kernel",
        )

    def _doubt_options(self, program: EfiProgram) -> None:
        reason = f"the boot entry of the firmware says the command line of {_description(program)}"
        self.log.doubt((KERNEL_INPUTS,), reason)

    # systemd-boot

    def _run_boot_loader(self, program: EfiProgram) -> None:
        version = program.version
        if version is not None and version.major not in _KNOWN_RELEASES:
            self.log.doubt(
                (BOOT_PROGRAMS, BOOT_CONFIGURATION, KERNEL_INPUTS, KERNEL_CONFIGURATION),
                f"what {version} measures is not known; known is {_known()}",
            )
        configuration = self.volume.find(CONFIGURATION)
        if configuration is not None:
            digest = hashlib.sha256()
            for chunk in read_chunks(configuration[1]):
                digest.update(chunk)
            self.log.add(BOOT_CONFIGURATION, TAG, "loader.conf", digest.digest())
        entries = read_entries(self.volume)
        entry = default_entry(self.volume, entries)
        if entry is None:
            raise OutputError.of(
                codes.NO_BOOT_PROGRAM, "systemd-boot finds no entry to start on the volume"
            )
        self.result.others = [e.path for e in entries if e.is_unified and e is not entry]
        if entry.is_unified:
            unified = self.programs.read(entry.path, self.volume.files[entry.path])
            self._start(unified)
            self._run_stub(unified)
        else:
            self._run_entry(entry)

    def _run_entry(self, entry: LoaderEntry) -> None:
        """Note the start of a kernel that an entry in a file names."""
        found = self.volume.find(entry.kernel.strip("/").replace("\\", "/"))
        if found is None:
            raise OutputError.of(
                codes.NO_BOOT_PROGRAM, f"{entry.path} names {entry.kernel}, which does not exist"
            )
        program = self.programs.read(*found)
        options = [f"initrd={_backslashes(path)}" for path in entry.initrds]
        line = " ".join([*options, *([entry.options] if entry.options else [])])
        self._start(program)
        if program.is_unified or not program.is_kernel:
            self._doubt_everything(program)
            return
        if line:
            self.log.add(KERNEL_CONFIGURATION, IPL, "command line of the entry", _wide_digest(line))
        initrd = file_initrd(self.volume, entry.initrds)
        self._run_kernel(program, line, initrd)

    # The stub of a unified kernel image, and the kernel

    def _run_stub(self, program: EfiProgram) -> None:
        version = program.version
        name = _description(program)
        if version is None or version.major < _FIRST_WITH_SECTIONS:
            self._doubt_everything(program)
            return
        if program.profiles > 1:
            self.log.doubt((KERNEL_BOOT, KERNEL_INPUTS), f"{name} has several profiles")
        for section, digest in kernel_boot_digests(program.section_digests):
            self.log.add(KERNEL_BOOT, IPL, section, digest)
        self._doubt_extras(program)
        if version.major not in _KNOWN_RELEASES:
            self.log.doubt(
                (BOOT_PROGRAMS, KERNEL_INPUTS),
                f"how {version} starts its kernel is not known; known is {_known()}",
            )
        kernel = program.inner_kernel
        if kernel is None:
            self.log.doubt((BOOT_PROGRAMS, KERNEL_INPUTS), f"the kernel in {name} has no EFI stub")
            return
        self.result.programs.append(_description(kernel))
        if not self.secure:
            # With Secure Boot the stub loads it without the firmware: the signature covers it.
            self.log.add(BOOT_PROGRAMS, BOOT_PROGRAM, _description(kernel), kernel.authenticode)
        if program.path not in self.programs.initrds:
            self.programs.initrds[program.path] = delivered_initrd(program)
        initrd = self.programs.initrds[program.path]
        self._run_kernel(kernel, _stub_options(program), initrd)

    def _doubt_extras(self, program: EfiProgram) -> None:
        """Note files beside the program that the stub reads."""
        directories = [f"{program.path}.extra.d"] if program.path else []
        directories += ["loader/credentials", "loader/addons", "loader/extensions"]
        found = [path for directory in directories for path in self.volume.below(directory)]
        if found:
            self.log.doubt(
                (BOOT_PROGRAMS, secure_boot.STATE, KERNEL_INPUTS, KERNEL_CONFIGURATION),
                f"the stub reads files beside the program: {', '.join(found[:3])}",
            )

    def _run_kernel(self, kernel: EfiProgram, line: str, initrd: bytes | None) -> None:
        """Note what the EFI stub of a kernel measures."""
        known = kernel.kernel_events
        if OPTIONS_EVENT in known:
            if line:
                self.log.add(KERNEL_INPUTS, TAG, "command line", _wide_digest(line))
            else:
                reason = "what kernels measure of an empty command line is not known"
                self.log.doubt((KERNEL_INPUTS,), reason)
        if INITRD_EVENT in known and initrd is not None:
            self.log.add(KERNEL_INPUTS, TAG, "initrd", initrd)


def _known() -> str:
    return ", ".join(map(str, sorted(_KNOWN_RELEASES)))


def _description(program: EfiProgram) -> str:
    """Return path and kind of a program."""
    kind = "program"
    if program.is_unified:
        kind = "unified kernel image"
    elif program.version is not None:
        kind = str(program.version)
    elif program.is_kernel:
        kind = "kernel"
    return f"{program.path} ({kind})" if program.path else kind


def _stub_options(program: EfiProgram) -> str:
    """Return the command line that a stub gives to its kernel: spaces instead of controls."""
    data = program.small(".cmdline").split(b"\0")[0]
    text = data.decode("utf-8", "ignore")
    return "".join(" " if c <= " " or c == "\x7f" else c for c in text).strip(" ")


def _wide_digest(text: str) -> bytes:
    return hashlib.sha256(f"{text}\0".encode("utf-16-le")).digest()


def _backslashes(path: str) -> str:
    return path.replace("/", "\\")
