"""What is asked for: YAML read with positions, checked completely, merged into frozen data.

    load(arguments, options)  files, `-` and URLs -> Loaded(config, inputs, warnings)
    read(argument)            one of them -> Input; nothing of YAML is imported
    load_inputs(inputs, ...)  what has been read -> Loaded
    parse_label(text, image)  the label of an image -> Spec
    read_build(argument)      build.yml -> BuildDocument(data, at, input, config, warnings)
    label_json(spec)          what parse_label reads, for a package's image
    render_metadata(config)   the files `metadata: json` and `metadata: yaml`
    render_yaml(config)       the merged configuration as an image.yml again

Everything that is wrong is a ConfigError with all the diagnostics there are. The names are imported
when they are first used: whoever needs only the model does not pay for the parser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.config.building import BuildDocument, read_build
    from assembler.config.labels import parse_label
    from assembler.config.loading import Loaded, Options, Packages, load, load_inputs
    from assembler.config.metadata import label_json, render_metadata, render_yaml
    from assembler.config.reading import Input, read

_HOMES = {
    "BuildDocument": "building",
    "Input": "reading",
    "Loaded": "loading",
    "Options": "loading",
    "Packages": "loading",
    "label_json": "metadata",
    "load": "loading",
    "load_inputs": "loading",
    "parse_label": "labels",
    "read": "reading",
    "read_build": "building",
    "render_metadata": "metadata",
    "render_yaml": "metadata",
}

__all__ = [
    "BuildDocument",
    "Input",
    "Loaded",
    "Options",
    "Packages",
    "label_json",
    "load",
    "load_inputs",
    "parse_label",
    "read",
    "read_build",
    "render_metadata",
    "render_yaml",
]

__getattr__ = front(__name__, _HOMES)
