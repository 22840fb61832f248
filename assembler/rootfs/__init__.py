"""The stage "plan": from a config and its images to the plan of a root filesystem.

find_required_images(config)         every use of an image -> RequiredImage, ImageRole
make_plan(config, images, options)   ResolvedImages, PlanOptions -> Plan; raises all errors together
installed_images(plan)               the images of the system with their prefixes
append_file(plan, path, content)     the plan with one more file at its end

Plan, BootSpec, Part, Origin                         a plan and its parts
ContainerProgram                                     the program that a container starts
ImageTree, TreeRules, ArchiveTree, MergedPackageDatabase    parts of images
GeneratedPart, GeneratedEntry, EntryKind             parts that depend on the YAML
EntryContent, ImageMember, LocalFile, StoreBlob      contents of generated entries
VerifiedSystem, DiskSpec, DataSpec                   a verified system and its disk
STANDARD_TIME                                        the time of generated entries

missing_member_error(member), irregular_member_error(member, what)   errors of kernel files
decompress_kernel(source, what)                      a plain kernel as a stream
detect_compression(start), DECOMPRESSORS, Decompressor, ByteSource   its compressions
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.rootfs.kernel_decompression import (
        DECOMPRESSORS,
        ByteSource,
        Decompressor,
        decompress_kernel,
        detect_compression,
    )
    from assembler.rootfs.member_errors import irregular_member_error, missing_member_error
    from assembler.rootfs.plan import (
        STANDARD_TIME,
        ArchiveTree,
        BootSpec,
        ContainerProgram,
        DataSpec,
        DiskSpec,
        EntryContent,
        EntryKind,
        GeneratedEntry,
        GeneratedPart,
        ImageMember,
        ImageTree,
        LocalFile,
        MergedPackageDatabase,
        Origin,
        Part,
        Plan,
        StoreBlob,
        TreeRules,
        VerifiedSystem,
    )
    from assembler.rootfs.plan_options import PlanOptions, ResolvedImages
    from assembler.rootfs.planner import append_file, installed_images, make_plan
    from assembler.rootfs.required_images import ImageRole, RequiredImage, find_required_images

_HOMES = {
    "ArchiveTree": "plan",
    "BootSpec": "plan",
    "ByteSource": "kernel_decompression",
    "ContainerProgram": "plan",
    "DECOMPRESSORS": "kernel_decompression",
    "DataSpec": "plan",
    "Decompressor": "kernel_decompression",
    "DiskSpec": "plan",
    "EntryContent": "plan",
    "EntryKind": "plan",
    "GeneratedEntry": "plan",
    "GeneratedPart": "plan",
    "ImageMember": "plan",
    "ImageRole": "required_images",
    "ImageTree": "plan",
    "LocalFile": "plan",
    "MergedPackageDatabase": "plan",
    "Origin": "plan",
    "Part": "plan",
    "Plan": "plan",
    "PlanOptions": "plan_options",
    "RequiredImage": "required_images",
    "ResolvedImages": "plan_options",
    "STANDARD_TIME": "plan",
    "StoreBlob": "plan",
    "TreeRules": "plan",
    "VerifiedSystem": "plan",
    "append_file": "planner",
    "decompress_kernel": "kernel_decompression",
    "detect_compression": "kernel_decompression",
    "find_required_images": "required_images",
    "installed_images": "planner",
    "irregular_member_error": "member_errors",
    "make_plan": "planner",
    "missing_member_error": "member_errors",
}

__all__ = [
    "DECOMPRESSORS",
    "STANDARD_TIME",
    "ArchiveTree",
    "BootSpec",
    "ByteSource",
    "ContainerProgram",
    "DataSpec",
    "Decompressor",
    "DiskSpec",
    "EntryContent",
    "EntryKind",
    "GeneratedEntry",
    "GeneratedPart",
    "ImageMember",
    "ImageRole",
    "ImageTree",
    "LocalFile",
    "MergedPackageDatabase",
    "Origin",
    "Part",
    "Plan",
    "PlanOptions",
    "RequiredImage",
    "ResolvedImages",
    "StoreBlob",
    "TreeRules",
    "VerifiedSystem",
    "append_file",
    "decompress_kernel",
    "detect_compression",
    "find_required_images",
    "installed_images",
    "irregular_member_error",
    "make_plan",
    "missing_member_error",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
