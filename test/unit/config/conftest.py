"""Short ways to the configuration stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from assembler.config import ConfigInput, LoadedConfig, LoadOptions, load_config_inputs

Load = Callable[..., LoadedConfig]


def given(text: str, name: str = "image.yml") -> ConfigInput:
    """Return a text as if it had been read from a file in the current directory."""
    return ConfigInput(name, text.encode(), Path())


@pytest.fixture
def load_text() -> Load:
    """Give a function that loads texts as the files a.yml, b.yml and so on."""

    def load(*texts: str, options: LoadOptions | None = None) -> LoadedConfig:
        inputs = [given(text, f"{chr(97 + i)}.yml") for i, text in enumerate(texts)]
        return load_config_inputs(inputs, options or LoadOptions())

    return load
