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
NOT_IN_STORE = Code(
    205,
    "An image is not in the store",
    "The store has no image of this name and it may not be fetched, because of `--offline` or "
    "because the command works on the store alone. `dolmen cache pull NAME` or `dolmen cache "
    "import FILE` brings it; `dolmen cache ls` shows what is there.",
)
NO_SUCH_PLATFORM = Code(
    206,
    "An image is not made for the wanted platform",
    "The message says for which platforms the image exists. Choose another tag, build for one of "
    "those with `--arch`, or have the image built for the platform.",
)
BLOB_MISSING = Code(
    207,
    "A part of an image is missing in the store",
    "The image has a name in the store, but its manifest, config or a layer is not there: perhaps "
    "only another platform of it was pulled, or the blob was found broken and put aside. Pull or "
    "import the image again, or run `dolmen cache verify --repair`.",
)
BLOB_WRONG = Code(
    208,
    "The content of a blob is not what its digest says",
    "Its bytes were changed on the way or on the disk. What came from outside was thrown away; a "
    "blob of the store is put aside in quarantine/, so that the next pull fetches it again. If it "
    "happens repeatedly, check the disk and the memory of the machine.",
)
BROKEN_STORE = Code(
    209,
    "The list of names in the store cannot be read",
    "index.json of the store is not what an OCI image layout has. `dolmen cache verify --repair` "
    "puts it aside and begins a new one; blobs are kept, and pulling finds them.",
)
NOT_A_STORE = Code(
    210,
    "The directory is not an image store",
    "A store is a directory of its own, empty at first. The one given holds other things, and "
    "Dolmen will not write between them. Choose another one with `--cache`.",
)
BAD_ARCHIVE = Code(
    211,
    "The archive does not hold images",
    "`dolmen cache import` reads a tar of an OCI image layout, and what `docker save` writes, both "
    "also compressed by gzip or zstd. The message says what is wrong with this one.",
)
PLATFORM_UNKNOWN = Code(
    212,
    "An image does not say which platform it is made for",
    "Its config names no architecture. It is used as it is; if it is made for another machine, "
    "its programs will not start.",
)
NO_DAEMON = Code(
    213,
    "The Docker daemon cannot be asked",
    "`--docker` takes images from the local Docker daemon. Check that it runs (`docker info`), "
    "that you may use its socket, and DOCKER_HOST.",
)
