"""Codes of the stage "measurement": what machines measure into a TPM when they boot."""

from assembler.codes import Code

NO_BOOT_PROGRAM = Code(
    1101,
    "There is nothing for UEFI to start",
    "Firmware starts EFI/BOOT/BOOTX64.EFI (amd64), BOOTAA64.EFI (arm64) or BOOTRISCV64.EFI from "
    "the EFI system partition by itself. The image has none of them, so what a machine measures "
    "depends on boot entries in its firmware. Give the program itself: `dolmen pcrs image.efi`.",
)
BAD_VARIABLES = Code(
    1102,
    "The variables of the firmware cannot be read",
    "`--vars FILE` is the variable store of EDK II (OVMF_VARS.fd), uncompressed and not in a "
    "qcow2 file. `dolmen run qemu --state DIR` keeps that of a machine in DIR.",
)
BAD_FIRMWARE = Code(
    1103,
    "The firmware cannot be read",
    "`--firmware FILE` is the code of EDK II (OVMF_CODE.fd): a firmware volume with the volumes "
    "PEIFV and DXEFV, compressed with LZMA. Firmware of other vendors measures other things.",
)
BAD_PCR_KEY = Code(
    1104,
    "The key for PCR policies cannot be used",
    "`--pcr-key FILE` is an RSA key of 2048 bits or more as PEM, without a passphrase: "
    "`openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out pcr.key` makes one. TPMs "
    "do not have to verify signatures of larger keys than 2048 bits.",
)
SEVERAL_STATES = Code(
    1105,
    "A lock file is for one state of Secure Boot",
    "A pcrlock file has the digests of one way to boot, and with Secure Boot other programs are "
    "measured. Add `--secure-boot` or `--no-secure-boot`, or `--vars FILE`, which says it.",
)
BAD_EVENT_LOG = Code(
    1107,
    "The event log cannot be read",
    "`--event-log FILE` is a copy of /sys/kernel/security/tpm0/binary_bios_measurements of a "
    "machine with a TPM 2.0, whose bank SHA-256 is in use.",
)
LOG_DIFFERS = Code(
    1108,
    "A machine has measured something else than was predicted",
    "The message names the first event that differs in each register. The machine has booted "
    "another image, has another firmware or other keys, or something between firmware and kernel "
    "was changed. `dolmen pcrs --events` lists what was expected.",
)
NO_SIGNED_POLICY = Code(
    1106,
    "A PCR key has no effect",
    "The signed policy is of PCR 11, into which a unified kernel image measures itself. None of "
    "the chosen formats has one, or not all of them: `uki`, `raw-efi`, `qcow2-efi` and `iso-efi` "
    "do.",
)
