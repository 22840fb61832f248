"""Codes of the stage "registries"."""
