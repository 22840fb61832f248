"""Codes of the stage "rootfs"."""
