"""Media: filesystems, partition tables, programs for UEFI and disk containers, as pure writers.

    SparseImage, Extent, ExtentImage    an image: its size and its extents; one of a few extents
    write_image, image_pieces, …        operations on images
    FatVolume, IsoVolume                filesystems, with FatFile and IsoEntry for their files
    gpt, mbr                            partitioned disks
    Qcow2, FixedVhd, DynamicVhd, write_vmdk, write_disk_tar    disk containers
    Syslinux, syslinux_config           a boot loader for a BIOS
    pe                                  programs for UEFI, and unified kernel images
    PcrSigner, kernel_boot_digests, policy_digest, …    PCR 11 of these, and its signed policies
    Signer, sign_program, program_signatures    Authenticode signatures
    VerityWriter, VeritySuperblock, …   hash trees of dm-verity
    detached_signature, detached_signers    signatures of root hashes, made and verified
    ReleaseKeys, read_release_keys      what a verified system and its updates are signed with
    enclave_image, EnclaveSigner    images of AWS Nitro Enclaves, and their signatures
    generate_keys, read_signer, read_certificate, signature_list, …    keys for Secure Boot

A writer takes contents and returns a `SparseImage`: its size and its extents. An image can be
content of another one (a filesystem in a partition of a disk in a container), is written to a
sparse file, or yielded as a stream; nothing large is in memory. Clock, locale and chance never
affect the bytes. Only the keys are random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.media.authenticode import (
        ProgramSignature,
        Signer,
        embedded_certificates,
        program_signatures,
        sign_program,
    )
    from assembler.media.detached_signatures import detached_signers
    from assembler.media.disk_tar import write_disk_tar
    from assembler.media.eif import (
        EIF_HEADER_SIZE,
        EIF_SECTION_SIZE,
        EIF_VERSION,
        MAX_EIF_SIGNATURE,
        EifSection,
        EnclaveContent,
        EnclaveImage,
        EnclaveRegisters,
        certificate_register,
        enclave_image,
        parse_eif_header,
        parse_eif_section,
    )
    from assembler.media.enclave_signature import (
        EnclaveSigner,
        check_enclave_signature,
        read_enclave_signer,
    )
    from assembler.media.enrolment import SECURE_BOOT_VARIABLES, signature_list
    from assembler.media.fat import FatExtent
    from assembler.media.fat.geometry import FAT_SECTOR, MAX_FAT_SIZE
    from assembler.media.fat.volume import FatFile, FatVolume
    from assembler.media.gpt import (
        ESP_TYPE,
        GPT_ALIGNMENT,
        GPT_SECTOR,
        LEGACY_BOOT_FLAG,
        GptDisk,
        GptPartition,
        gpt_partition_capacity,
    )
    from assembler.media.iso.boot import IsoBoot
    from assembler.media.iso.entries import FileSlice, IsoEntry, regular_file
    from assembler.media.iso.rock_ridge import ISO_SECTOR
    from assembler.media.iso.volume import IsoVolume
    from assembler.media.keys import (
        KeySetOptions,
        certificate_fingerprint,
        generate_keys,
        read_certificate,
        read_signer,
    )
    from assembler.media.mbr import MBR_ALIGNMENT, MBR_SECTOR, MbrDisk, mbr_partition_capacity
    from assembler.media.pcr_policy import (
        KERNEL_BOOT,
        MEASURED_SECTIONS,
        PcrSigner,
        extend_register,
        kernel_boot_digests,
        policy_digest,
        read_pcr_signer,
    )
    from assembler.media.pe import (
        MAX_PE_HEADERS,
        PeHeaders,
        PeSection,
        add_pe_sections,
        is_pe,
        parse_pe_headers,
    )
    from assembler.media.pkcs7 import DigestSigner, detached_signature
    from assembler.media.qcow2 import Qcow2
    from assembler.media.release_keys import IndexSigner, ReleaseKeys, read_release_keys
    from assembler.media.sparse_image import (
        Extent,
        ExtentImage,
        SparseImage,
        extents_of,
        image_content,
        image_pieces,
        nonzero_blocks,
        read_image,
        seed_of,
        shifted_extents,
        write_image,
    )
    from assembler.media.syslinux import Syslinux, syslinux_config
    from assembler.media.verity import (
        VERITY_BLOCK,
        VerityIdentity,
        VerityLayout,
        VeritySuperblock,
        VerityWriter,
        root_hash_uuids,
        verity_capacity,
    )
    from assembler.media.vhd import DynamicVhd, FixedVhd
    from assembler.media.vmdk import write_vmdk

_HOMES = {
    "DigestSigner": "pkcs7",
    "DynamicVhd": "vhd",
    "EIF_HEADER_SIZE": "eif",
    "EIF_SECTION_SIZE": "eif",
    "EIF_VERSION": "eif",
    "ESP_TYPE": "gpt",
    "EifSection": "eif",
    "EnclaveContent": "eif",
    "EnclaveImage": "eif",
    "EnclaveRegisters": "eif",
    "EnclaveSigner": "enclave_signature",
    "Extent": "sparse_image",
    "ExtentImage": "sparse_image",
    "FAT_SECTOR": "fat.geometry",
    "FatExtent": "fat",
    "FatFile": "fat.volume",
    "FatVolume": "fat.volume",
    "FileSlice": "iso.entries",
    "FixedVhd": "vhd",
    "GPT_ALIGNMENT": "gpt",
    "GPT_SECTOR": "gpt",
    "GptDisk": "gpt",
    "GptPartition": "gpt",
    "ISO_SECTOR": "iso.rock_ridge",
    "IndexSigner": "release_keys",
    "IsoBoot": "iso.boot",
    "IsoEntry": "iso.entries",
    "IsoVolume": "iso.volume",
    "KERNEL_BOOT": "pcr_policy",
    "KeySetOptions": "keys",
    "LEGACY_BOOT_FLAG": "gpt",
    "MAX_EIF_SIGNATURE": "eif",
    "MAX_FAT_SIZE": "fat.geometry",
    "MAX_PE_HEADERS": "pe",
    "MBR_ALIGNMENT": "mbr",
    "MBR_SECTOR": "mbr",
    "MEASURED_SECTIONS": "pcr_policy",
    "MbrDisk": "mbr",
    "PcrSigner": "pcr_policy",
    "PeHeaders": "pe",
    "PeSection": "pe",
    "ProgramSignature": "authenticode",
    "Qcow2": "qcow2",
    "ReleaseKeys": "release_keys",
    "SECURE_BOOT_VARIABLES": "enrolment",
    "Signer": "authenticode",
    "SparseImage": "sparse_image",
    "Syslinux": "syslinux",
    "VERITY_BLOCK": "verity",
    "VerityIdentity": "verity",
    "VerityLayout": "verity",
    "VeritySuperblock": "verity",
    "VerityWriter": "verity",
    "add_pe_sections": "pe",
    "certificate_fingerprint": "keys",
    "certificate_register": "eif",
    "check_enclave_signature": "enclave_signature",
    "detached_signature": "pkcs7",
    "detached_signers": "detached_signatures",
    "embedded_certificates": "authenticode",
    "enclave_image": "eif",
    "extend_register": "pcr_policy",
    "extents_of": "sparse_image",
    "generate_keys": "keys",
    "gpt_partition_capacity": "gpt",
    "image_content": "sparse_image",
    "image_pieces": "sparse_image",
    "is_pe": "pe",
    "kernel_boot_digests": "pcr_policy",
    "mbr_partition_capacity": "mbr",
    "nonzero_blocks": "sparse_image",
    "parse_eif_header": "eif",
    "parse_eif_section": "eif",
    "parse_pe_headers": "pe",
    "policy_digest": "pcr_policy",
    "program_signatures": "authenticode",
    "read_certificate": "keys",
    "read_enclave_signer": "enclave_signature",
    "read_image": "sparse_image",
    "read_pcr_signer": "pcr_policy",
    "read_release_keys": "release_keys",
    "read_signer": "keys",
    "regular_file": "iso.entries",
    "root_hash_uuids": "verity",
    "seed_of": "sparse_image",
    "shifted_extents": "sparse_image",
    "sign_program": "authenticode",
    "signature_list": "enrolment",
    "syslinux_config": "syslinux",
    "verity_capacity": "verity",
    "write_disk_tar": "disk_tar",
    "write_image": "sparse_image",
    "write_vmdk": "vmdk",
}

__all__ = [
    "EIF_HEADER_SIZE",
    "EIF_SECTION_SIZE",
    "EIF_VERSION",
    "ESP_TYPE",
    "FAT_SECTOR",
    "GPT_ALIGNMENT",
    "GPT_SECTOR",
    "ISO_SECTOR",
    "KERNEL_BOOT",
    "LEGACY_BOOT_FLAG",
    "MAX_EIF_SIGNATURE",
    "MAX_FAT_SIZE",
    "MAX_PE_HEADERS",
    "MBR_ALIGNMENT",
    "MBR_SECTOR",
    "MEASURED_SECTIONS",
    "SECURE_BOOT_VARIABLES",
    "VERITY_BLOCK",
    "DigestSigner",
    "DynamicVhd",
    "EifSection",
    "EnclaveContent",
    "EnclaveImage",
    "EnclaveRegisters",
    "EnclaveSigner",
    "Extent",
    "ExtentImage",
    "FatExtent",
    "FatFile",
    "FatVolume",
    "FileSlice",
    "FixedVhd",
    "GptDisk",
    "GptPartition",
    "IndexSigner",
    "IsoBoot",
    "IsoEntry",
    "IsoVolume",
    "KeySetOptions",
    "MbrDisk",
    "PcrSigner",
    "PeHeaders",
    "PeSection",
    "ProgramSignature",
    "Qcow2",
    "ReleaseKeys",
    "Signer",
    "SparseImage",
    "Syslinux",
    "VerityIdentity",
    "VerityLayout",
    "VeritySuperblock",
    "VerityWriter",
    "add_pe_sections",
    "certificate_fingerprint",
    "certificate_register",
    "check_enclave_signature",
    "detached_signature",
    "detached_signers",
    "embedded_certificates",
    "enclave_image",
    "extend_register",
    "extents_of",
    "generate_keys",
    "gpt_partition_capacity",
    "image_content",
    "image_pieces",
    "is_pe",
    "kernel_boot_digests",
    "mbr_partition_capacity",
    "nonzero_blocks",
    "parse_eif_header",
    "parse_eif_section",
    "parse_pe_headers",
    "policy_digest",
    "program_signatures",
    "read_certificate",
    "read_enclave_signer",
    "read_image",
    "read_pcr_signer",
    "read_release_keys",
    "read_signer",
    "regular_file",
    "root_hash_uuids",
    "seed_of",
    "shifted_extents",
    "sign_program",
    "signature_list",
    "syslinux_config",
    "verity_capacity",
    "write_disk_tar",
    "write_image",
    "write_vmdk",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
