"""The stage "oci": references become images, from the store or from registries.

    resolve_images(references, platform, sources, reporter)   references -> Images, fetched or not
    ImageSources, RegistryOptions         where images come from, and how to reach registries
    Image, Manifest, Index, Descriptor, Platform, Reference   the model of images
    Store                                 the OCI image layout on disk
    find_image, look_up_image, list_images, inspect_image     images of the store
    collect_garbage, remove_images, verify_store              maintenance of the store
    pull, push                            transfers from and to registries
    import_archive, export_archive        archives, as of `docker save`
    flatten_layers, TarReader             the files in layers
    add_layer, add_image, add_attestation, tag_images         writing images into the store
    open_registries, fetch_manifest, push_manifest            single requests to registries

Names are imported when they are first used. The sub-packages store, registry and layers are for use
within the stage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.oci.archive_export import ArchiveFormat, ExportOptions, export_archive
    from assembler.oci.archive_import import ArchiveInput, import_archive, import_file
    from assembler.oci.archive_reader import (
        INDEX_FILE,
        ArchiveContents,
        ArchiveStream,
        read_archive,
    )
    from assembler.oci.digest import digest_hex, digest_of, is_digest
    from assembler.oci.docker_daemon import daemon_root_cause, ping_daemon
    from assembler.oci.image import Image
    from assembler.oci.image_files import ImageFiles, read_image_files
    from assembler.oci.image_pull import PullOptions, pull
    from assembler.oci.image_push import PushOptions, push
    from assembler.oci.image_report import ImageReport, attestation_types, inspect_image
    from assembler.oci.image_sources import ImageSources
    from assembler.oci.image_writer import (
        ImageSettings,
        WrittenImage,
        WrittenLayer,
        add_attestation,
        add_image,
        add_image_with_config,
        add_layer,
        canonical_json,
        format_timestamp,
        report_progress,
        tag_images,
    )
    from assembler.oci.layers.decompression import LayerLimits, decompress_layer
    from assembler.oci.layers.flattened_tree import FlattenedTree
    from assembler.oci.layers.flattening import ExcludedPaths, LayerBlob, flatten_layers
    from assembler.oci.layers.tar_entry_types import (
        BLOCK_DEVICE,
        CHARACTER_DEVICE,
        DIRECTORY,
        FIFO,
        FILE,
        HARD_LINK,
        SYMLINK,
    )
    from assembler.oci.layers.tar_fields import (
        MalformedTarError,
        normalize_tar_path,
        parse_pax_records,
    )
    from assembler.oci.layers.tar_reader import TarReader
    from assembler.oci.manifest import (
        Descriptor,
        Index,
        Manifest,
        parse_image_config,
        parse_manifest,
        platform_json,
    )
    from assembler.oci.media_types import (
        CONFIG_LABEL,
        DOCKER_LAYER_GZIP,
        EXTENSIONS_LABEL,
        IN_TOTO,
        OCI_CONFIG,
        OCI_INDEX,
        OCI_LAYER,
        OCI_LAYER_GZIP,
        OCI_LAYER_ZSTD,
        OCI_MANIFEST,
        PREDICATE_TYPE,
        REF_NAME,
        SPDX_DOCUMENT,
    )
    from assembler.oci.platform import (
        ARCHITECTURES,
        Platform,
        architecture_hint,
        host_platform,
        normalize_architecture,
    )
    from assembler.oci.published_images import find_published
    from assembler.oci.recorded_inputs import (
        BUILDER_INPUT,
        INPUTS_ANNOTATION,
        changed_inputs,
        inputs_annotation,
        read_recorded_inputs,
    )
    from assembler.oci.reference import Reference
    from assembler.oci.registry.blob_upload import push_manifest
    from assembler.oci.registry.client import Client
    from assembler.oci.registry.failures import RegistryFailure
    from assembler.oci.registry.manifests import FetchedManifest, fetch_manifest
    from assembler.oci.registry.options import (
        Mirror,
        RegistryOptions,
        RetryPolicy,
        parse_mirror,
        read_registry_options,
    )
    from assembler.oci.registry.registries import open_registries
    from assembler.oci.registry.retry import RunStoppedError
    from assembler.oci.registry.workers import map_unordered
    from assembler.oci.resolution import resolve_images
    from assembler.oci.salvaged_image import (
        SalvagedContent,
        SalvagedFile,
        SalvagedImage,
        SalvagedTree,
    )
    from assembler.oci.store.garbage_collection import collect_garbage, remove_images
    from assembler.oci.store.gc_policy import HOUR, GcLimits, files_in, oldest_run_start
    from assembler.oci.store.image_contents import ContentsReader
    from assembler.oci.store.image_list import (
        ListedImage,
        find_entries,
        find_named_entries,
        list_images,
    )
    from assembler.oci.store.image_lookup import (
        MissingImage,
        equivalent_names,
        find_image,
        look_up_image,
        other_registries_hint,
        read_attestations,
    )
    from assembler.oci.store.image_store import Store
    from assembler.oci.store.locks import hold_lock
    from assembler.oci.store.names import ImageNames
    from assembler.oci.store.verification import VerifyReport, verify_store
    from assembler.oci.tar_writer import TAR_END, TarHeader, tar_padding

_HOMES = {
    "ARCHITECTURES": "platform",
    "ArchiveContents": "archive_reader",
    "ArchiveFormat": "archive_export",
    "ArchiveInput": "archive_import",
    "ArchiveStream": "archive_reader",
    "BLOCK_DEVICE": "layers.tar_entry_types",
    "BUILDER_INPUT": "recorded_inputs",
    "CHARACTER_DEVICE": "layers.tar_entry_types",
    "CONFIG_LABEL": "media_types",
    "Client": "registry.client",
    "ContentsReader": "store.image_contents",
    "DIRECTORY": "layers.tar_entry_types",
    "DOCKER_LAYER_GZIP": "media_types",
    "Descriptor": "manifest",
    "EXTENSIONS_LABEL": "media_types",
    "ExcludedPaths": "layers.flattening",
    "ExportOptions": "archive_export",
    "FIFO": "layers.tar_entry_types",
    "FILE": "layers.tar_entry_types",
    "FetchedManifest": "registry.manifests",
    "FlattenedTree": "layers.flattened_tree",
    "GcLimits": "store.gc_policy",
    "HARD_LINK": "layers.tar_entry_types",
    "HOUR": "store.gc_policy",
    "INDEX_FILE": "archive_reader",
    "INPUTS_ANNOTATION": "recorded_inputs",
    "IN_TOTO": "media_types",
    "Image": "image",
    "ImageFiles": "image_files",
    "ImageNames": "store.names",
    "ImageReport": "image_report",
    "ImageSettings": "image_writer",
    "ImageSources": "image_sources",
    "Index": "manifest",
    "LayerBlob": "layers.flattening",
    "LayerLimits": "layers.decompression",
    "ListedImage": "store.image_list",
    "MalformedTarError": "layers.tar_fields",
    "Manifest": "manifest",
    "Mirror": "registry.options",
    "MissingImage": "store.image_lookup",
    "OCI_CONFIG": "media_types",
    "OCI_INDEX": "media_types",
    "OCI_LAYER": "media_types",
    "OCI_LAYER_GZIP": "media_types",
    "OCI_LAYER_ZSTD": "media_types",
    "OCI_MANIFEST": "media_types",
    "PREDICATE_TYPE": "media_types",
    "Platform": "platform",
    "PullOptions": "image_pull",
    "PushOptions": "image_push",
    "REF_NAME": "media_types",
    "Reference": "reference",
    "RegistryFailure": "registry.failures",
    "RegistryOptions": "registry.options",
    "RetryPolicy": "registry.options",
    "RunStoppedError": "registry.retry",
    "SPDX_DOCUMENT": "media_types",
    "SYMLINK": "layers.tar_entry_types",
    "SalvagedContent": "salvaged_image",
    "SalvagedFile": "salvaged_image",
    "SalvagedImage": "salvaged_image",
    "SalvagedTree": "salvaged_image",
    "Store": "store.image_store",
    "TAR_END": "tar_writer",
    "TarHeader": "tar_writer",
    "TarReader": "layers.tar_reader",
    "VerifyReport": "store.verification",
    "WrittenImage": "image_writer",
    "WrittenLayer": "image_writer",
    "add_attestation": "image_writer",
    "add_image": "image_writer",
    "add_image_with_config": "image_writer",
    "add_layer": "image_writer",
    "architecture_hint": "platform",
    "attestation_types": "image_report",
    "canonical_json": "image_writer",
    "changed_inputs": "recorded_inputs",
    "collect_garbage": "store.garbage_collection",
    "daemon_root_cause": "docker_daemon",
    "decompress_layer": "layers.decompression",
    "digest_hex": "digest",
    "digest_of": "digest",
    "equivalent_names": "store.image_lookup",
    "export_archive": "archive_export",
    "fetch_manifest": "registry.manifests",
    "files_in": "store.gc_policy",
    "find_entries": "store.image_list",
    "find_image": "store.image_lookup",
    "find_named_entries": "store.image_list",
    "find_published": "published_images",
    "flatten_layers": "layers.flattening",
    "format_timestamp": "image_writer",
    "hold_lock": "store.locks",
    "host_platform": "platform",
    "import_archive": "archive_import",
    "import_file": "archive_import",
    "inputs_annotation": "recorded_inputs",
    "inspect_image": "image_report",
    "is_digest": "digest",
    "list_images": "store.image_list",
    "look_up_image": "store.image_lookup",
    "map_unordered": "registry.workers",
    "normalize_architecture": "platform",
    "normalize_tar_path": "layers.tar_fields",
    "oldest_run_start": "store.gc_policy",
    "open_registries": "registry.registries",
    "other_registries_hint": "store.image_lookup",
    "parse_image_config": "manifest",
    "parse_manifest": "manifest",
    "parse_mirror": "registry.options",
    "parse_pax_records": "layers.tar_fields",
    "ping_daemon": "docker_daemon",
    "platform_json": "manifest",
    "pull": "image_pull",
    "push": "image_push",
    "push_manifest": "registry.blob_upload",
    "read_archive": "archive_reader",
    "read_attestations": "store.image_lookup",
    "read_image_files": "image_files",
    "read_recorded_inputs": "recorded_inputs",
    "read_registry_options": "registry.options",
    "remove_images": "store.garbage_collection",
    "report_progress": "image_writer",
    "resolve_images": "resolution",
    "tag_images": "image_writer",
    "tar_padding": "tar_writer",
    "verify_store": "store.verification",
}

__all__ = [
    "ARCHITECTURES",
    "BLOCK_DEVICE",
    "BUILDER_INPUT",
    "CHARACTER_DEVICE",
    "CONFIG_LABEL",
    "DIRECTORY",
    "DOCKER_LAYER_GZIP",
    "EXTENSIONS_LABEL",
    "FIFO",
    "FILE",
    "HARD_LINK",
    "HOUR",
    "INDEX_FILE",
    "INPUTS_ANNOTATION",
    "IN_TOTO",
    "OCI_CONFIG",
    "OCI_INDEX",
    "OCI_LAYER",
    "OCI_LAYER_GZIP",
    "OCI_LAYER_ZSTD",
    "OCI_MANIFEST",
    "PREDICATE_TYPE",
    "REF_NAME",
    "SPDX_DOCUMENT",
    "SYMLINK",
    "TAR_END",
    "ArchiveContents",
    "ArchiveFormat",
    "ArchiveInput",
    "ArchiveStream",
    "Client",
    "ContentsReader",
    "Descriptor",
    "ExcludedPaths",
    "ExportOptions",
    "FetchedManifest",
    "FlattenedTree",
    "GcLimits",
    "Image",
    "ImageFiles",
    "ImageNames",
    "ImageReport",
    "ImageSettings",
    "ImageSources",
    "Index",
    "LayerBlob",
    "LayerLimits",
    "ListedImage",
    "MalformedTarError",
    "Manifest",
    "Mirror",
    "MissingImage",
    "Platform",
    "PullOptions",
    "PushOptions",
    "Reference",
    "RegistryFailure",
    "RegistryOptions",
    "RetryPolicy",
    "RunStoppedError",
    "SalvagedContent",
    "SalvagedFile",
    "SalvagedImage",
    "SalvagedTree",
    "Store",
    "TarHeader",
    "TarReader",
    "VerifyReport",
    "WrittenImage",
    "WrittenLayer",
    "add_attestation",
    "add_image",
    "add_image_with_config",
    "add_layer",
    "architecture_hint",
    "attestation_types",
    "canonical_json",
    "changed_inputs",
    "collect_garbage",
    "daemon_root_cause",
    "decompress_layer",
    "digest_hex",
    "digest_of",
    "equivalent_names",
    "export_archive",
    "fetch_manifest",
    "files_in",
    "find_entries",
    "find_image",
    "find_named_entries",
    "find_published",
    "flatten_layers",
    "format_timestamp",
    "hold_lock",
    "host_platform",
    "import_archive",
    "import_file",
    "inputs_annotation",
    "inspect_image",
    "is_digest",
    "list_images",
    "look_up_image",
    "map_unordered",
    "normalize_architecture",
    "normalize_tar_path",
    "oldest_run_start",
    "open_registries",
    "other_registries_hint",
    "parse_image_config",
    "parse_manifest",
    "parse_mirror",
    "parse_pax_records",
    "ping_daemon",
    "platform_json",
    "pull",
    "push",
    "push_manifest",
    "read_archive",
    "read_attestations",
    "read_image_files",
    "read_recorded_inputs",
    "read_registry_options",
    "remove_images",
    "report_progress",
    "resolve_images",
    "tag_images",
    "tar_padding",
    "verify_store",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
