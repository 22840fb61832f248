"""An enclave image file, which AWS Nitro Enclaves boot, and its registers as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from assembler import magics
from assembler.codes import output as codes
from assembler.content import read_content, slice_content
from assembler.errors import OutputError
from assembler.events import LogMessage
from assembler.formats.efi import kernel_version, required_kernel
from assembler.formats.outputs import output_file, write_sparse
from assembler.formats.plain_kernel import plain_kernel
from assembler.formats.protocol import Format, FormatOptions, Needs, Target
from assembler.formats.written_output import Output
from assembler.media import EIF_VERSION, EnclaveContent, enclave_image
from assembler.rootfs import STANDARD_TIME
from assembler.suffixes import SUFFIXES

if TYPE_CHECKING:
    from typing import Any

    from assembler.content import Content
    from assembler.encode import Assembly

# With its final zero a kernel takes 2048 bytes, on both architectures.
_MAX_CMDLINE = 2047


def _write(assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
    kernel = _enclave_kernel(assembly, options)
    metadata = _metadata(target.name, kernel)
    made = enclave_image(
        EnclaveContent(
            assembly.plan.architecture,
            kernel,
            assembly.cmdline.encode(),
            assembly.ramdisks(),
            json.dumps(metadata, separators=(",", ":"), ensure_ascii=False).encode(),
        ),
        options.enclave_signer,
    )
    suffixes = SUFFIXES[FORMAT.name]
    image = write_sparse(FORMAT.name, "image", target.path(suffixes["image"]), made.image)
    registers = {f"PCR{number}": value.hex() for number, value in made.registers.items()}
    for name, value in registers.items():
        assembly.reporter.emit(LogMessage(f"{target.name}{suffixes['image']}: {name} {value}"))
    description = {
        "EifVersion": EIF_VERSION,
        # As nitro-cli names it.
        "Measurements": {"HashAlgorithm": "Sha384 { ... }", **registers},
        "IsSigned": options.enclave_signer is not None,
        "ImageName": metadata["ImageName"],
        "ImageVersion": metadata["ImageVersion"],
    }
    data = (json.dumps(description, indent=2, ensure_ascii=False) + "\n").encode()
    path = target.path(suffixes["measurements"])
    with output_file(path) as file:
        file.write(data)
    return [image, Output(FORMAT.name, "measurements", len(data), path)]


def _metadata(name: str, kernel: Content) -> dict[str, Any]:
    """Return the metadata; neither time nor version of a build are in it, which would change it."""
    built = datetime.fromtimestamp(STANDARD_TIME, UTC).isoformat()
    return {
        "ImageName": name,
        "ImageVersion": "",
        "BuildMetadata": {
            "BuildTime": built,
            "BuildTool": "dolmen",
            "BuildToolVersion": "",
            "OperatingSystem": "Linux",
            "KernelVersion": kernel_version(kernel) or "unknown",
        },
        "DockerInfo": {},
        "CustomMetadata": {},
    }


def _enclave_kernel(assembly: Assembly, options: FormatOptions) -> Content:
    """Return a bzImage, or a plain Image for arm64."""
    if assembly.plan.architecture == "arm64":
        return plain_kernel(assembly, options)
    kernel = required_kernel(assembly)
    if not magics.is_bzimage(read_content(slice_content(kernel, 0, 0x210))):
        boot = assembly.plan.boot
        raise OutputError.of(
            codes.BAD_KERNEL,
            "a Nitro Enclave cannot boot the kernel: it is not a bzImage",
            "leave out --decompress-kernel",
            place=boot.kernel.place if boot else None,
        )
    return kernel


def _check(assembly: Assembly, options: FormatOptions) -> None:
    _enclave_kernel(assembly, options)
    size = len(assembly.cmdline.encode())
    if size > _MAX_CMDLINE:
        raise OutputError.of(
            codes.LOADER_LIMIT,
            f"the command line has {size} bytes, and a Nitro Enclave takes {_MAX_CMDLINE}",
            "shorten `kernel.cmdline`",
        )


FORMAT = Format(
    name="eif",
    write=_write,
    needs=Needs(initrd=True, boot=True),
    architectures=frozenset({"amd64", "arm64"}),
    needs_kernel=True,
    check=_check,
)
