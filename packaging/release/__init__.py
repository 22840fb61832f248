"""Builds what users install: the wheel, Debian packages and the container image."""
