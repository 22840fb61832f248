"""Codes of the stage "config"."""
