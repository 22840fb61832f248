"""The default limit of an image's size."""

# Uncompressed, and more than any image that is meant to be started.
MAX_IMAGE_SIZE = 64 << 30
