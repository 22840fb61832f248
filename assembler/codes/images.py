"""Codes of the stage "images": references, the store, manifests."""

from assembler.codes import Code

BAD_REFERENCE = Code(
    201,
    "Not the name of an image",
    "An image name is `[REGISTRY/]PATH[:TAG][@sha256:DIGEST]`. The path is in lower case. A name "
    "without a registry means docker.io, and docker.io/library if it has no slash either. Without "
    "tag and digest it means the tag `latest`.",
)
BAD_DIGEST = Code(
    202,
    "Not a digest",
    "A digest is `sha256:` followed by 64 digits 0-9, a-f. It names a blob by its content.",
)
BAD_PLATFORM = Code(
    203,
    "Not a platform",
    "A platform is written OS/ARCHITECTURE[/VARIANT], as linux/amd64, linux/arm64 or linux/arm/v7.",
)
BAD_MANIFEST = Code(
    204,
    "A manifest or index is not as the OCI specification says",
    "The image's description itself is broken, or is of a kind that Dolmen does not read (schema 1 "
    "of Docker is too old). Push the image again with a current tool.",
)
