"""Helper images: boot loaders and filesystem tools that formats take out of images in the store."""
