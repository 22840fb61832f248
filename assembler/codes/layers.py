"""Codes of the stage "layers"."""
