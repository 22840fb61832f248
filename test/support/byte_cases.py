"""The commands whose outputs are compared with recorded digests, as cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support import contents

BUILD = ("build", "--offline", "--jobs", "2", "--bootloaders", "made/loaders:1")
PLAIN = (*BUILD, "--no-sbom", "--imagetools", "made/makers:1")
SIGNED = ("--secure-boot-key", "keys/db.key", "--secure-boot-cert", "keys/db.crt")
HERE = ("--dir", "{out}", "--name", "image")
NONE = ("--compression", "none")
AMD64 = ("--platform", "linux/amd64")
ON_PCS = "raw-bios,raw-efi,raw,iso-bios,iso-efi,iso-efi-initrd,iso,qcow2-bios,qcow2-efi,vmdk,uki"
CLOUDS = "vhd,aws,azure"
ANYWHERE = "raw-efi,uki,iso-efi,iso-efi-initrd,qcow2-efi,vhd,vmdk,aws,azure,kernel+initrd"
# Images know fewer codecs than kernels: layers are packed with gzip then.
NOT_IN_IMAGES = ("lz4", "lzma")
Digest = Callable[[Path], str]
# By suffix: the digest of the content, for the case that another version of a library packed it.
INITRDS: Mapping[str, Digest] = {
    "-initrd.img": contents.of_initrd,
    "-initrd.tar": contents.of_tar_with_initrd,
    "oci.tar": contents.of_layout,
}
DISKS: Mapping[str, Digest] = {
    **dict.fromkeys((".efi", ".img", ".iso"), contents.of_disk),
    "-pcrs.json": contents.of_predictions,
}
# These are compressed whatever --compression says.
ALWAYS: Mapping[str, Digest] = {".vmdk": contents.of_vmdk, ".img.tar.gz": contents.of_gzip}


@dataclass(frozen=True)
class Case:
    """Commands that run one after the other; the files they write are compared."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    # The library that the bytes depend on: a name in `versions`.
    library: str = ""
    digests: Mapping[str, Digest] = field(default_factory=lambda: INITRDS)

    def depends(self, name: str) -> tuple[str, Digest] | None:
        """Return the library that a file's bytes depend on, and what digests its content."""
        fitting = {end: ("isal", of) for end, of in ALWAYS.items()}
        if self.library:
            fitting |= {end: (self.library, of) for end, of in self.digests.items()}
        if self.library in NOT_IN_IMAGES:
            fitting["oci.tar"] = ("isal", contents.of_layout)
        ends = [end for end in fitting if name.endswith(end)]
        return fitting[max(ends, key=len)] if ends else None


def build(name: str, formats: str, *words: str, **more: Any) -> Case:
    """Return the case of a build; formats that do not go together are separated by spaces."""
    where = () if "-o" in words else HERE
    arch = () if "--arch" in words else ("--arch", "amd64")
    common = (*PLAIN, *arch, *where, *words)
    return Case(name, tuple((*common, "--format", f) for f in formats.split()), **more)


def packed(codec: str, library: str) -> Case:
    """Return the case of everything that is packed with a codec."""
    how = ("--compression", codec)
    both = build("", "kernel+initrd,tar-kernel-initrd,oci", *how, "system.yml").commands
    export = ("cache", "export", "image", *AMD64, "-o", "{out}/oci.tar")
    return Case(f"packed with {codec}", (*both, export), library)


def filesystems(codec: str, library: str) -> Case:
    """Return the case of filesystems: the arguments and the tar that their programs get."""
    formats = "kernel+squashfs,kernel+erofs"
    name = f"filesystems with {codec}"
    file = "even.yml" if codec == "zstd:19" else "small.yml"
    return build(name, formats, "--compression", codec, file, library=library)


def exported(name: str, image: str, *words: str) -> Case:
    """Return the case of an image that is exported."""
    return Case(f"export {name}", (("cache", "export", image, "-o", "{out}/image.tar", *words),))


def package(name: str, image: str, directory: str, *words: str) -> Case:
    """Return the case of a package that is built, and exported in every way."""
    export = ("cache", "export", image, "-o")
    commands = (
        ("pkg", "build", "--offline", *words, directory),
        (*export, "{out}/oci.tar"),
        (*export, "{out}/files.tar", "--format", "filesystem", *AMD64),
        (*export, "{out}/docker.tar", "--format", "docker", *AMD64),
    )
    digests = {**INITRDS, "docker.tar": contents.of_layout}
    return Case(f"package {name}", commands, "isal", digests)


SMALL = (*NONE, "small.yml")
FIRMWARE = ("--arch", "arm64", "--firmware", "made/firmware:1")
EARLIER = (*PLAIN, "--arch", "amd64", "--format", "tar", "--dir", "{other}", "--name", "earlier")
AGAIN = ("--cache", "{other}/empty", *PLAIN, "--arch", "amd64", "--format", "tar")
HASH = ("--hash", "fixed")
ARCHIVE = "[trusted=yes] file:{project}/archive"
DEBIAN = ("--recipe-engine", "python", "--debian-mirror", ARCHIVE)
CODECS = {
    **dict.fromkeys(("gzip", "gzip:3"), "isal"),
    **dict.fromkeys(("zstd", "zstd:12"), "zstandard"),
    **dict.fromkeys(("lz4", "lz4:9"), "lz4"),
    "gzip:6": "zlib",
    "xz": "lzma",
    "none": "",
}
CASES = (
    build("trees", "tar docker kernel+iso", "system.yml", library="isal"),
    build("trees for arm64", "tar docker kernel+iso", *NONE, "--arch", "arm64", "machines.yml"),
    build("trees for riscv64", "tar kernel+initrd,uki", *NONE, "--arch", "riscv64", "machines.yml"),
    build("edited", "tar kernel+initrd", "edited.yml", library="isal"),
    build("large", "tar kernel+initrd,kernel+iso", "large.yml", library="isal"),
    build("large with lz4", "kernel+initrd", "--compression", "lz4", "large.yml", library="lz4"),
    *(packed(codec, library) for codec, library in CODECS.items()),
    build("unpacked kernel", "tar kernel+initrd", *NONE, "--decompress-kernel", "unpack.yml"),
    *(
        filesystems(codec, library)
        for codec, library in (
            *(("gzip", "isal"), ("zstd:19", "zstandard"), ("xz", "lzma"), ("lz4:9", "lz4")),
            ("none", ""),
        )
    ),
    build("disks", ON_PCS, *SMALL),
    build("disks of clouds", CLOUDS, *SMALL),
    build("disks that grow", "dynamic-vhd,gcp", *SMALL),
    build("disks of a size", f"{ON_PCS},dynamic-vhd", "--size", "70M", *SMALL),
    build("large disks", "raw,raw-efi,iso,qcow2-efi,dynamic-vhd,vmdk", *NONE, "large.yml"),
    build("gzip in disks", "uki,raw,iso,kernel+initrd", "small.yml", library="isal", digests=DISKS),
    build("root on CDs", "iso-bios,iso-efi,iso-efi-initrd,iso", *SMALL, "root.yml"),
    build("signed", "uki,raw-efi,raw,iso-efi,iso,qcow2-efi", *SIGNED, *SMALL),
    build("arm64", ANYWHERE, *NONE, "--arch", "arm64", "machines.yml"),
    build("arm64 signed", "uki,raw-efi", *SIGNED, *NONE, "--arch", "arm64", "machines.yml"),
    build("Raspberry Pi", "rpi3", *NONE, *FIRMWARE, "pi.yml"),
    build("unpacked for a Pi", "rpi3", *NONE, *FIRMWARE, "--decompress-kernel", "packed.yml"),
    build("enclave", "eif", *SMALL),
    build("enclave for arm64", "eif,microvm", *NONE, "--arch", "arm64", "pi.yml"),
    build("unpacked for arm64", "eif,microvm", *NONE, "--arch", "arm64", "packed.yml"),
    Case(
        "documents",
        ((*BUILD, "--arch", "amd64", "--format", "tar", *HERE, "told.yml"),),
        "version",
        {".tar": contents.of_tar_with_sbom},
    ),
    Case(
        "from an earlier tar",
        (
            (*EARLIER, "earlier.yml"),
            (*AGAIN, "--input-tar", "{other}/earlier.tar", *HERE, "later.yml"),
        ),
    ),
    build("to standard output", "docker", "small.yml", "-o", "-"),
    build("merged", "tar", "system.yml", "root.yml", "--dry-run"),
    exported("oci", "example/multi:1"),
    exported("oci of one platform", "example/multi:1", "--platform", "linux/arm64"),
    exported("oci with documents", "example/spdx-two:1", "--name", "other/name:2"),
    exported("docker", "example/multi-docker:1", "--format", "docker", *AMD64),
    *(
        exported(f"filesystem of {name}", f"example/{name}:1", "--format", "filesystem", *AMD64)
        for name in ("wh", "swap", "links", "nasty", "mixed", "sparse", "formats")
    ),
    Case(
        "import of a docker archive",
        (
            (*("cache", "export", "example/wh:1", "--format", "docker", *AMD64), "-o", "{other}/a"),
            ("--cache", "{other}/empty", "cache", "import", "{other}/a"),
            ("--cache", "{other}/empty", "cache", "export", "example/wh:1", "-o", "{out}/oci.tar"),
        ),
    ),
    package("with a Dockerfile", "example/app:fixed", "package", *HASH),
    package("with a recipe", "example/tool:fixed", "recipe", *HASH, *DEBIAN),
    package("with a kernel", "example/linux:fixed", "linux", *HASH, *DEBIAN),
    Case("metadata", (("metadata", "create", "{out}/meta.iso", '{"hostname": "größe"}'),)),
    Case(
        "metadata for cloud-init",
        (("metadata", "create", "--nocloud", "--file", "user-data", "{out}/seed.iso"),),
    ),
)
IN_GIT = package("in git", "committed/app", "repository/package")
