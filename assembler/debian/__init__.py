"""Recipes: images made of Debian packages, without root, Docker or maintainer scripts."""
