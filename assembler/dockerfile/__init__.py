"""Dockerfiles: read, understood, and built in process or by a builder."""
