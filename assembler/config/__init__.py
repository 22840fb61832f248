"""The stage "config": YAML with positions, checked completely, merged into frozen data.

    load_config(arguments, options)   files, `-` and URLs -> LoadedConfig(config, inputs, warnings)
    load_config_inputs(inputs, ...)   inputs that were read before -> LoadedConfig
    read_input(argument)              one argument -> ConfigInput; does not import a YAML library
    read_build_file(argument)         build.yml -> BuildDocument
    parse_label(text, image)          the label of an image -> ContainerSpec
    render_label(spec)                the text of a label, which parse_label reads
    check_for_linuxkit(kind, inputs)  what LinuxKit would not take of valid inputs
    render_metadata(config, form)     the files `metadata: json` and `metadata: yaml`
    render_config(config)             the merged config as an image.yml

    Config, Kernel, Volume, Container, ContainerSpec, RootfsFile ...    the model of image.yml
    Package, BuildFile, DebsRecipe ...                                  the model of build.yml
    load_schema(kind), schema_path(kind)                                the JSON Schemas

All mistakes of the files are raised together as one ConfigError. Names are imported when they are
first used, so that the model can be imported without the YAML parser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.config.build_file import BuildDocument, read_build_file
    from assembler.config.checks.limits import CAPABILITIES, RLIM_INFINITY, RLIMITS
    from assembler.config.checks.ports import shares_network
    from assembler.config.inputs import ConfigInput, read_input
    from assembler.config.labels import parse_label
    from assembler.config.linuxkit_check import check_for_linuxkit
    from assembler.config.loader import (
        LoadedConfig,
        LoadOptions,
        PackageResolver,
        load_config,
        load_config_inputs,
    )
    from assembler.config.messages import expected_type, flow_yaml
    from assembler.config.metadata import render_config, render_label, render_metadata
    from assembler.config.model import (
        LABEL_EXTENSIONS,
        BindNS,
        Config,
        Container,
        ContainerSpec,
        DataPartition,
        Device,
        DiskSection,
        ExposedPort,
        Firewall,
        Healthy,
        Id,
        IdMapping,
        Interface,
        Kernel,
        Mount,
        RootfsFile,
        Runtime,
        Slots,
        Verified,
        Volume,
    )
    from assembler.config.package_model import (
        DEFAULT_ARCHES,
        DEFAULT_DOCKERFILE,
        DEFAULT_FILE,
        DEFAULT_GITREPO,
        DEFAULT_LDFLAGS,
        DEFAULT_ORG,
        DEFAULT_TAG,
        BuildFile,
        DebsRecipe,
        DockerImages,
        ExtraSource,
        GoPrograms,
        LinuxSource,
        Package,
        RecipeFile,
    )
    from assembler.config.port_ranges import PortRange
    from assembler.config.positions import Positions
    from assembler.config.runtime_resources import format_page_size
    from assembler.config.schemas import (
        KINDS,
        load_schema,
        resolve_reference,
        schema_folder,
        schema_path,
    )
    from assembler.config.sizes import parse_duration, parse_size
    from assembler.config.templates import GIT_PREFIX, OCI_PREFIX
    from assembler.config.urls import is_url, printable_name
    from assembler.config.verified_inputs import is_verified

_HOMES = {
    "BindNS": "model",
    "BuildDocument": "build_file",
    "BuildFile": "package_model",
    "CAPABILITIES": "checks.limits",
    "Config": "model",
    "ConfigInput": "inputs",
    "Container": "model",
    "ContainerSpec": "model",
    "DEFAULT_ARCHES": "package_model",
    "DEFAULT_DOCKERFILE": "package_model",
    "DEFAULT_FILE": "package_model",
    "DEFAULT_GITREPO": "package_model",
    "DEFAULT_LDFLAGS": "package_model",
    "DEFAULT_ORG": "package_model",
    "DEFAULT_TAG": "package_model",
    "DataPartition": "model",
    "DebsRecipe": "package_model",
    "Device": "model",
    "DiskSection": "model",
    "DockerImages": "package_model",
    "ExposedPort": "model",
    "ExtraSource": "package_model",
    "Firewall": "model",
    "GIT_PREFIX": "templates",
    "GoPrograms": "package_model",
    "Healthy": "model",
    "Id": "model",
    "IdMapping": "model",
    "Interface": "model",
    "KINDS": "schemas",
    "Kernel": "model",
    "LABEL_EXTENSIONS": "model",
    "LinuxSource": "package_model",
    "LoadOptions": "loader",
    "LoadedConfig": "loader",
    "Mount": "model",
    "OCI_PREFIX": "templates",
    "Package": "package_model",
    "PackageResolver": "loader",
    "PortRange": "port_ranges",
    "Positions": "positions",
    "RLIMITS": "checks.limits",
    "RLIM_INFINITY": "checks.limits",
    "RecipeFile": "package_model",
    "RootfsFile": "model",
    "Runtime": "model",
    "Slots": "model",
    "Verified": "model",
    "Volume": "model",
    "check_for_linuxkit": "linuxkit_check",
    "expected_type": "messages",
    "flow_yaml": "messages",
    "format_page_size": "runtime_resources",
    "is_url": "urls",
    "is_verified": "verified_inputs",
    "load_config": "loader",
    "load_config_inputs": "loader",
    "load_schema": "schemas",
    "parse_duration": "sizes",
    "parse_label": "labels",
    "parse_size": "sizes",
    "printable_name": "urls",
    "read_build_file": "build_file",
    "read_input": "inputs",
    "render_config": "metadata",
    "render_label": "metadata",
    "render_metadata": "metadata",
    "resolve_reference": "schemas",
    "schema_folder": "schemas",
    "schema_path": "schemas",
    "shares_network": "checks.ports",
}

__all__ = [
    "CAPABILITIES",
    "DEFAULT_ARCHES",
    "DEFAULT_DOCKERFILE",
    "DEFAULT_FILE",
    "DEFAULT_GITREPO",
    "DEFAULT_LDFLAGS",
    "DEFAULT_ORG",
    "DEFAULT_TAG",
    "GIT_PREFIX",
    "KINDS",
    "LABEL_EXTENSIONS",
    "OCI_PREFIX",
    "RLIMITS",
    "RLIM_INFINITY",
    "BindNS",
    "BuildDocument",
    "BuildFile",
    "Config",
    "ConfigInput",
    "Container",
    "ContainerSpec",
    "DataPartition",
    "DebsRecipe",
    "Device",
    "DiskSection",
    "DockerImages",
    "ExposedPort",
    "ExtraSource",
    "Firewall",
    "GoPrograms",
    "Healthy",
    "Id",
    "IdMapping",
    "Interface",
    "Kernel",
    "LinuxSource",
    "LoadOptions",
    "LoadedConfig",
    "Mount",
    "Package",
    "PackageResolver",
    "PortRange",
    "Positions",
    "RecipeFile",
    "RootfsFile",
    "Runtime",
    "Slots",
    "Verified",
    "Volume",
    "check_for_linuxkit",
    "expected_type",
    "flow_yaml",
    "format_page_size",
    "is_url",
    "is_verified",
    "load_config",
    "load_config_inputs",
    "load_schema",
    "parse_duration",
    "parse_label",
    "parse_size",
    "printable_name",
    "read_build_file",
    "read_input",
    "render_config",
    "render_label",
    "render_metadata",
    "resolve_reference",
    "schema_folder",
    "schema_path",
    "shares_network",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
