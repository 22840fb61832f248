"""Build packages: images made from directories with a build.yml.

build_directories(directories, options)       build packages and their dependencies
build_packages(packages, options, reporter)   the same for packages that have been read
describe_steps(packages, options, reporter)   a dry run of it
package_names(directories, options)           the names of their images
hash_directory(directory)                     git's hash of a directory, without git
compare_package_inputs(directories, options)  their inputs now and when they were built
lock_packages(directories, options, reporter) resolve the newest Debian packages -> RecipeLock
push_package_indexes(directories, ...)        push indexes of the architectures at a registry
tag_remote_image(source, target, ...)         add a tag to an image at a registry
builder_storage_use(store), prune_builders    the storage of builders
write_new_package(directory, org)             a new package from templates
list_catalog, describe_catalog_package        the packages that Dolmen brings, with their images
locate_package(named)                         the directory that `@dolmen:NAME` names
read_package(directory)                       build.yml, checked -> Package
read_packages(directories)                    several of them; an error has the mistakes of all
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.packages.batch import (
        PackageBuildResult,
        build_directories,
        build_packages,
        check_package_options,
        package_names,
    )
    from assembler.packages.build_arguments import BuildArguments, read_argument_file
    from assembler.packages.build_file_reader import locate_package, parse_build_file
    from assembler.packages.builder_storage import StorageUse, builder_storage_use, prune_builders
    from assembler.packages.catalog_packages import (
        CatalogPackage,
        describe_catalog_package,
        list_catalog,
        package_privileges,
    )
    from assembler.packages.directory_tree import hash_directory
    from assembler.packages.dry_run import describe_steps
    from assembler.packages.inputs import InputComparison, compare_inputs, compare_package_inputs
    from assembler.packages.jobs import PackageJob, package_job, package_name
    from assembler.packages.local_packages import LocalPackages
    from assembler.packages.options import PackageBuildOptions
    from assembler.packages.package_build import BuildContext, PackageResult, build_package
    from assembler.packages.package_reader import read_package, read_packages
    from assembler.packages.recipe_locks import RecipeLock, check_locks, lock_packages
    from assembler.packages.remote import (
        PushedIndex,
        Remote,
        RemoteTag,
        push_package_indexes,
        tag_remote_image,
    )
    from assembler.packages.scaffold import write_new_package
    from assembler.packages.tags import Naming, PackageName, is_lasting

_HOMES = {
    "BuildArguments": "build_arguments",
    "BuildContext": "package_build",
    "CatalogPackage": "catalog_packages",
    "InputComparison": "inputs",
    "LocalPackages": "local_packages",
    "Naming": "tags",
    "PackageBuildOptions": "options",
    "PackageBuildResult": "batch",
    "PackageJob": "jobs",
    "PackageName": "tags",
    "PackageResult": "package_build",
    "PushedIndex": "remote",
    "RecipeLock": "recipe_locks",
    "Remote": "remote",
    "RemoteTag": "remote",
    "StorageUse": "builder_storage",
    "build_directories": "batch",
    "build_package": "package_build",
    "build_packages": "batch",
    "builder_storage_use": "builder_storage",
    "check_locks": "recipe_locks",
    "check_package_options": "batch",
    "compare_inputs": "inputs",
    "compare_package_inputs": "inputs",
    "describe_catalog_package": "catalog_packages",
    "describe_steps": "dry_run",
    "hash_directory": "directory_tree",
    "is_lasting": "tags",
    "list_catalog": "catalog_packages",
    "locate_package": "build_file_reader",
    "lock_packages": "recipe_locks",
    "package_job": "jobs",
    "package_name": "jobs",
    "package_names": "batch",
    "package_privileges": "catalog_packages",
    "parse_build_file": "build_file_reader",
    "prune_builders": "builder_storage",
    "push_package_indexes": "remote",
    "read_argument_file": "build_arguments",
    "read_package": "package_reader",
    "read_packages": "package_reader",
    "tag_remote_image": "remote",
    "write_new_package": "scaffold",
}

__all__ = [
    "BuildArguments",
    "BuildContext",
    "CatalogPackage",
    "InputComparison",
    "LocalPackages",
    "Naming",
    "PackageBuildOptions",
    "PackageBuildResult",
    "PackageJob",
    "PackageName",
    "PackageResult",
    "PushedIndex",
    "RecipeLock",
    "Remote",
    "RemoteTag",
    "StorageUse",
    "build_directories",
    "build_package",
    "build_packages",
    "builder_storage_use",
    "check_locks",
    "check_package_options",
    "compare_inputs",
    "compare_package_inputs",
    "describe_catalog_package",
    "describe_steps",
    "hash_directory",
    "is_lasting",
    "list_catalog",
    "locate_package",
    "lock_packages",
    "package_job",
    "package_name",
    "package_names",
    "package_privileges",
    "parse_build_file",
    "prune_builders",
    "push_package_indexes",
    "read_argument_file",
    "read_package",
    "read_packages",
    "tag_remote_image",
    "write_new_package",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
