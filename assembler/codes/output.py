"""Codes of the stage "output"."""
