"""oci."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.oci.archive_export import Download, Format, export
    from assembler.oci.archive_import import Upload, import_archive
    from assembler.oci.archive_tar import END, Header, padding
    from assembler.oci.digest import hex_part, is_digest, of_bytes
    from assembler.oci.image import Image
    from assembler.oci.image_files import Taken, taken
    from assembler.oci.image_pull import PullOptions, pull
    from assembler.oci.image_push import PushOptions, push
    from assembler.oci.image_report import Findings, attested, inspect
    from assembler.oci.image_sources import ImageSources
    from assembler.oci.image_writer import (
        ImageSettings,
        WrittenImage,
        WrittenLayer,
        add_attestation,
        add_described,
        add_image,
        add_layer,
        as_document,
        counted,
        publish,
        timestamp,
    )
    from assembler.oci.layers.fields import Malformed, clean, pax_records
    from assembler.oci.layers.flattening import Exceptions, Layer, flatten
    from assembler.oci.layers.inflation import Limits, inflate
    from assembler.oci.layers.paths import Tree
    from assembler.oci.layers.reader import (
        BLOCK,
        CHARACTER,
        DIRECTORY,
        FIFO,
        FILE,
        LINK,
        SYMLINK,
        TarReader,
    )
    from assembler.oci.manifest import (
        Descriptor,
        Index,
        Manifest,
        parse_config,
        parse_document,
        platform_json,
    )
    from assembler.oci.platform import ARCHITECTURES, Platform, host_platform, normal_architecture
    from assembler.oci.published_images import published
    from assembler.oci.recorded_inputs import BUILDER, INPUTS, as_annotation, changed, recorded
    from assembler.oci.reference import Reference
    from assembler.oci.registry.client import Client
    from assembler.oci.registry.documents import Document, fetch_document
    from assembler.oci.registry.failures import RegistryFailure
    from assembler.oci.registry.options import (
        Mirror,
        Patience,
        RegistryOptions,
        parse_mirror,
        read_options,
    )
    from assembler.oci.registry.registries import speaking
    from assembler.oci.registry.retry import Stopped
    from assembler.oci.registry.uploads import put_document
    from assembler.oci.registry.workers import map_unordered
    from assembler.oci.resolution import resolve
    from assembler.oci.salvaged import Excerpt, RootFile, SalvagedImage, SalvagedTree
    from assembler.oci.store.blobs import Store
    from assembler.oci.store.collecting import collect, remove
    from assembler.oci.store.gc_policy import HOUR, GcLimits, files_below, oldest_run
    from assembler.oci.store.image_lookup import (
        Absent,
        at_other_registries,
        attestations,
        find,
        lookup,
        spellings,
    )
    from assembler.oci.store.listings import Listed, entries_of, listing
    from assembler.oci.store.locks import held, take
    from assembler.oci.store.names import Names
    from assembler.oci.store.verifying import Report, verify
    from assembler.oci.store.walk import Walker

_HOMES = {
    "ARCHITECTURES": "platform",
    "Absent": "store.image_lookup",
    "BLOCK": "layers.reader",
    "BUILDER": "recorded_inputs",
    "CHARACTER": "layers.reader",
    "Client": "registry.client",
    "DIRECTORY": "layers.reader",
    "Descriptor": "manifest",
    "Document": "registry.documents",
    "Download": "archive_export",
    "END": "archive_tar",
    "Exceptions": "layers.flattening",
    "Excerpt": "salvaged",
    "FIFO": "layers.reader",
    "FILE": "layers.reader",
    "Findings": "image_report",
    "Format": "archive_export",
    "GcLimits": "store.gc_policy",
    "HOUR": "store.gc_policy",
    "Header": "archive_tar",
    "INPUTS": "recorded_inputs",
    "Image": "image",
    "ImageSettings": "image_writer",
    "ImageSources": "image_sources",
    "Index": "manifest",
    "LINK": "layers.reader",
    "Layer": "layers.flattening",
    "Limits": "layers.inflation",
    "Listed": "store.listings",
    "Malformed": "layers.fields",
    "Manifest": "manifest",
    "Mirror": "registry.options",
    "Names": "store.names",
    "Patience": "registry.options",
    "Platform": "platform",
    "PullOptions": "image_pull",
    "PushOptions": "image_push",
    "Reference": "reference",
    "RegistryFailure": "registry.failures",
    "RegistryOptions": "registry.options",
    "Report": "store.verifying",
    "RootFile": "salvaged",
    "SYMLINK": "layers.reader",
    "SalvagedImage": "salvaged",
    "SalvagedTree": "salvaged",
    "Stopped": "registry.retry",
    "Store": "store.blobs",
    "Taken": "image_files",
    "TarReader": "layers.reader",
    "Tree": "layers.paths",
    "Upload": "archive_import",
    "Walker": "store.walk",
    "WrittenImage": "image_writer",
    "WrittenLayer": "image_writer",
    "add_attestation": "image_writer",
    "add_described": "image_writer",
    "add_image": "image_writer",
    "add_layer": "image_writer",
    "as_annotation": "recorded_inputs",
    "as_document": "image_writer",
    "at_other_registries": "store.image_lookup",
    "attestations": "store.image_lookup",
    "attested": "image_report",
    "changed": "recorded_inputs",
    "clean": "layers.fields",
    "collect": "store.collecting",
    "counted": "image_writer",
    "entries_of": "store.listings",
    "export": "archive_export",
    "fetch_document": "registry.documents",
    "files_below": "store.gc_policy",
    "find": "store.image_lookup",
    "flatten": "layers.flattening",
    "held": "store.locks",
    "hex_part": "digest",
    "host_platform": "platform",
    "import_archive": "archive_import",
    "inflate": "layers.inflation",
    "inspect": "image_report",
    "is_digest": "digest",
    "listing": "store.listings",
    "lookup": "store.image_lookup",
    "map_unordered": "registry.workers",
    "normal_architecture": "platform",
    "of_bytes": "digest",
    "oldest_run": "store.gc_policy",
    "padding": "archive_tar",
    "parse_config": "manifest",
    "parse_document": "manifest",
    "parse_mirror": "registry.options",
    "pax_records": "layers.fields",
    "platform_json": "manifest",
    "publish": "image_writer",
    "published": "published_images",
    "pull": "image_pull",
    "push": "image_push",
    "put_document": "registry.uploads",
    "read_options": "registry.options",
    "recorded": "recorded_inputs",
    "remove": "store.collecting",
    "resolve": "resolution",
    "speaking": "registry.registries",
    "spellings": "store.image_lookup",
    "take": "store.locks",
    "taken": "image_files",
    "timestamp": "image_writer",
    "verify": "store.verifying",
}

__all__ = [
    "ARCHITECTURES",
    "BLOCK",
    "BUILDER",
    "CHARACTER",
    "DIRECTORY",
    "END",
    "FIFO",
    "FILE",
    "HOUR",
    "INPUTS",
    "LINK",
    "SYMLINK",
    "Absent",
    "Client",
    "Descriptor",
    "Document",
    "Download",
    "Exceptions",
    "Excerpt",
    "Findings",
    "Format",
    "GcLimits",
    "Header",
    "Image",
    "ImageSettings",
    "ImageSources",
    "Index",
    "Layer",
    "Limits",
    "Listed",
    "Malformed",
    "Manifest",
    "Mirror",
    "Names",
    "Patience",
    "Platform",
    "PullOptions",
    "PushOptions",
    "Reference",
    "RegistryFailure",
    "RegistryOptions",
    "Report",
    "RootFile",
    "SalvagedImage",
    "SalvagedTree",
    "Stopped",
    "Store",
    "Taken",
    "TarReader",
    "Tree",
    "Upload",
    "Walker",
    "WrittenImage",
    "WrittenLayer",
    "add_attestation",
    "add_described",
    "add_image",
    "add_layer",
    "as_annotation",
    "as_document",
    "at_other_registries",
    "attestations",
    "attested",
    "changed",
    "clean",
    "collect",
    "counted",
    "entries_of",
    "export",
    "fetch_document",
    "files_below",
    "find",
    "flatten",
    "held",
    "hex_part",
    "host_platform",
    "import_archive",
    "inflate",
    "inspect",
    "is_digest",
    "listing",
    "lookup",
    "map_unordered",
    "normal_architecture",
    "of_bytes",
    "oldest_run",
    "padding",
    "parse_config",
    "parse_document",
    "parse_mirror",
    "pax_records",
    "platform_json",
    "publish",
    "published",
    "pull",
    "push",
    "put_document",
    "read_options",
    "recorded",
    "remove",
    "resolve",
    "speaking",
    "spellings",
    "take",
    "taken",
    "timestamp",
    "verify",
]

__getattr__ = front(__name__, _HOMES)
