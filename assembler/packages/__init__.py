"""Build packages: images made from directories with a build.yml.

build_directories(directories, options)    build packages and those they need -> PackageBuildResult
build_packages(packages, options)          the same for packages that have been read
package_names(directories, options)        what their images are called
lock_packages(directories, options)        choose the newest Debian packages -> RecipeLocks
read_package(directory)                    build.yml, checked -> Package
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
        job_of,
        package_name,
        package_names,
    )
    from assembler.packages.build_arguments import BuildArguments, read_arguments
    from assembler.packages.build_file_reader import parse_build_file, read_package
    from assembler.packages.dry_run import describe_steps
    from assembler.packages.local_packages import LocalPackages
    from assembler.packages.options import PackageBuildOptions
    from assembler.packages.package_build import PackageJob, PackageResult, compare_inputs
    from assembler.packages.recipe_locks import RecipeLock, check_locks, lock_packages
    from assembler.packages.remote import Remote
    from assembler.packages.tags import Naming, PackageName, is_lasting

_HOMES = {
    "BuildArguments": "build_arguments",
    "LocalPackages": "local_packages",
    "Naming": "tags",
    "PackageBuildOptions": "options",
    "PackageBuildResult": "batch",
    "PackageJob": "package_build",
    "PackageName": "tags",
    "PackageResult": "package_build",
    "RecipeLock": "recipe_locks",
    "Remote": "remote",
    "build_directories": "batch",
    "build_packages": "batch",
    "check_locks": "recipe_locks",
    "check_package_options": "batch",
    "compare_inputs": "package_build",
    "describe_steps": "dry_run",
    "is_lasting": "tags",
    "job_of": "batch",
    "lock_packages": "recipe_locks",
    "package_name": "batch",
    "package_names": "batch",
    "parse_build_file": "build_file_reader",
    "read_arguments": "build_arguments",
    "read_package": "build_file_reader",
}

__all__ = [
    "BuildArguments",
    "LocalPackages",
    "Naming",
    "PackageBuildOptions",
    "PackageBuildResult",
    "PackageJob",
    "PackageName",
    "PackageResult",
    "RecipeLock",
    "Remote",
    "build_directories",
    "build_packages",
    "check_locks",
    "check_package_options",
    "compare_inputs",
    "describe_steps",
    "is_lasting",
    "job_of",
    "lock_packages",
    "package_name",
    "package_names",
    "parse_build_file",
    "read_arguments",
    "read_package",
]

__getattr__ = front(__name__, _HOMES)
