"""The table of settings: what options, environment variables and the configuration file set."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """The type of a setting's value."""

    TEXT = "a text"
    TEXTS = "a text or a list of texts"
    PATH = "a path"
    PATHS = "a path or a list of paths"
    SIZE = "a size such as 64GiB"
    NUMBER = "a whole number"
    SWITCH = "true or false"


class Setting(NamedTuple):
    """A setting: its key in the file, its type, and the other places that set it."""

    key: str
    kind: Kind
    summary: str
    option: str
    # The first one that is set and not empty counts.
    variables: tuple[str, ...] = ()
    # As `dolmen config` shows it; empty if the default is no value, or depends on the host.
    default: str = ""
    choices: tuple[str, ...] = ()
    # The least and the greatest number.
    bounds: tuple[int, int] = (0, 0)
    # What separates the items of a list in an environment variable.
    separators: str = ","


def _both(name: str) -> tuple[str, str]:
    return f"DOLMEN_{name}", f"LINUXKIT_{name}"


SETTINGS = (
    Setting("cache", Kind.PATH, "Directory of the store.", "--cache", _both("CACHE")),
    Setting(
        "color",
        Kind.TEXT,
        "Colors on standard output and standard error; NO_COLOR is respected with auto.",
        "--color",
        default="auto",
        choices=("auto", "always", "never"),
    ),
    Setting("quiet", Kind.SWITCH, "Print only results and errors.", "--quiet", default="false"),
    Setting("verbose", Kind.NUMBER, "Level of output.", "--verbose", default="0", bounds=(0, 3)),
    Setting(
        "registries.mirrors",
        Kind.TEXTS,
        "Registry mirrors to try first, as [REGISTRY=]URL.",
        "--mirror",
        _both("MIRROR"),
        separators=", ",
    ),
    Setting(
        "registries.insecure",
        Kind.TEXTS,
        "Registries, as HOST[:PORT], that may use HTTP or have any certificate.",
        "--insecure",
        ("DOLMEN_INSECURE",),
    ),
    Setting(
        "registries.cert-files",
        Kind.PATHS,
        "Files with additional CA certificates.",
        "--cert-file",
    ),
    Setting(
        "images.max-size",
        Kind.SIZE,
        "Largest image, uncompressed.",
        "--max-image-size",
        ("DOLMEN_MAX_IMAGE_SIZE",),
        default="64GiB",
    ),
    Setting(
        "debian.mirror",
        Kind.TEXTS,
        "Debian mirrors to use instead of those of this machine's apt.",
        "--debian-mirror",
        _both("DEBIAN_MIRROR"),
    ),
    Setting(
        "debian.keyring",
        Kind.PATH,
        "Keyring to verify Debian archives with.",
        "--debian-keyring",
        ("DOLMEN_DEBIAN_KEYRING",),
    ),
    Setting(
        "debian.engine",
        Kind.TEXT,
        "Resolver of Debian packages.",
        "--recipe-engine",
        _both("RECIPE_ENGINE"),
        default="auto",
        choices=("auto", "apt", "python"),
    ),
    Setting(
        "packages.organization",
        Kind.TEXT,
        "Organization in the names of package images.",
        "--org",
        _both("PKG_ORG"),
    ),
    Setting(
        "packages.builder",
        Kind.TEXT,
        "Builder of Dockerfiles.",
        "--builder",
        _both("BUILDER"),
        default="auto",
        choices=("auto", "buildkit", "buildah", "docker"),
    ),
    Setting(
        "buildkit.contexts",
        Kind.TEXTS,
        "Docker contexts with a BuildKit, as OS/ARCH=CONTEXT.",
        "--builders",
        _both("BUILDERS"),
    ),
    Setting(
        "buildkit.name",
        Kind.TEXT,
        "Builder of `docker buildx`.",
        "--builder-name",
        _both("BUILDER_NAME"),
    ),
    Setting(
        "buildkit.image",
        Kind.TEXT,
        "Image for a new builder.",
        "--builder-image",
        _both("BUILDER_IMAGE"),
    ),
    Setting(
        "buildkit.config",
        Kind.PATH,
        "Configuration file for a new builder.",
        "--builder-config",
        _both("BUILDER_CONFIG"),
    ),
    Setting(
        "build.compression",
        Kind.TEXT,
        "Compression of initrds, as CODEC[:LEVEL]; auto: zstd if the kernel unpacks it, else gzip.",
        "--compression",
        default="auto",
    ),
    Setting(
        "build.jobs",
        Kind.NUMBER,
        "Parallel encoding processes.",
        "--jobs",
        default="2",
        bounds=(1, 64),
    ),
    Setting(
        "run.accelerator",
        Kind.TEXT,
        "Accelerator of QEMU: kvm, hvf or tcg, or a list separated by colons.",
        "--accel",
        _both("QEMU_ACCEL"),
    ),
)
BY_KEY = {setting.key: setting for setting in SETTINGS}
# Secrets do not belong in the configuration file.
SECRETS = ("DOLMEN_REGISTRY_CREDS", "DOLMEN_SECURE_BOOT_PASSPHRASE")
