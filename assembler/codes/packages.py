"""Codes of the stage "packages"."""
