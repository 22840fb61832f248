"""Codes of the stage "images": references, the store, manifests."""

from assembler.codes import Code

BAD_REFERENCE = Code(
    201,
    "An invalid image reference",
    "A reference is `[REGISTRY/]PATH[:TAG][@sha256:DIGEST]`. The path is in lower case. Without a "
    "registry the registry is docker.io; then a path without a slash begins with library/. Without "
    "tag and digest the tag is `latest`.",
)
BAD_DIGEST = Code(
    202,
    "An invalid digest",
    "A digest is `sha256:` followed by 64 hexadecimal digits (0-9, a-f). It names a blob by its "
    "content.",
)
BAD_PLATFORM = Code(
    203,
    "An invalid platform",
    "A platform is OS/ARCHITECTURE[/VARIANT], such as linux/amd64, linux/arm64 or linux/arm/v7.",
)
BAD_MANIFEST = Code(
    204,
    "A manifest or index does not match the OCI specification",
    "The manifest or index is invalid, or of a type that Dolmen does not support, such as Docker's "
    "old schema 1. Push the image again with a current tool.",
)
NOT_IN_STORE = Code(
    205,
    "An image is not in the store",
    "The store does not have the image, and Dolmen may not pull it: because of `--offline`, or "
    "because the command only uses the store. `dolmen cache pull NAME` or `dolmen cache import "
    "FILE` adds it; `dolmen cache ls` lists the images of the store.",
)
PLATFORM_NOT_FOUND = Code(
    206,
    "An image is not available for the platform",
    "The message lists the platforms of the image. Choose another tag, build for one of these "
    "platforms with `--arch`, or get an image for the platform.",
)
BLOB_MISSING = Code(
    207,
    "A blob of an image is missing from the store",
    "The store has the name of the image, but not its manifest, config or one of its layers. "
    "Perhaps only another platform was pulled, or a corrupt blob was moved to quarantine. Pull or "
    "import the image again, or run `dolmen cache verify --repair`.",
)
CORRUPT_BLOB = Code(
    208,
    "The content of a blob does not match its digest",
    "The bytes were changed during transfer or on the disk. Corrupt downloads are discarded; a "
    "corrupt blob of the store is moved to quarantine/, so that the next pull fetches it again. If "
    "this happens repeatedly, check the disk and the memory of the machine.",
)
BROKEN_STORE = Code(
    209,
    "The index of the store cannot be read",
    "index.json of the store is not the index of an OCI image layout. `dolmen cache verify "
    "--repair` moves it away and creates a new one; the blobs are kept, and the next pull uses "
    "them.",
)
NOT_A_STORE = Code(
    210,
    "The directory is not a store",
    "A store needs a directory of its own, empty at first. Dolmen does not create a store among "
    "other files. Choose another directory with `--cache`.",
)
BAD_ARCHIVE = Code(
    211,
    "The archive has no images",
    "`dolmen cache import` reads a tar of an OCI image layout, and the output of `docker save`, "
    "both also compressed with gzip or zstd. The message says what is wrong with this archive.",
)
PLATFORM_UNKNOWN = Code(
    212,
    "An image does not name its platform",
    "The image config has no architecture. Dolmen uses the image; but if it is for another "
    "architecture, its programs will not start.",
)
DAEMON_UNAVAILABLE = Code(
    213,
    "The Docker daemon is not available",
    "`--docker` takes images from the local Docker daemon. Without it, they come from the store "
    "and from registries. Check that the daemon runs (`docker info`), that you may use its socket, "
    "and the value of DOCKER_HOST.",
)
