"""Codes of the stage "packages": build.yml, tags, recipes and builders."""

from assembler.codes import Code

NOT_A_PACKAGE = Code(
    701,
    "The directory is not a package",
    "A package is a directory with a build.yml that has at least `image: NAME`. `--build-yml` "
    "names another file. docs/reference-yaml.md describes all keys.",
)
BAD_SOURCE = Code(
    702,
    "An extra source cannot be used",
    "An entry of `extra-sources` is `SOURCE:DESTINATION`. The source is a directory, relative to "
    "the package. If the package is committed in git, the source is, too, since its tree hash is "
    "part of the tag. The destination is a path in the build context.",
)
BAD_DEPENDS = Code(
    703,
    "The section `depends` is invalid",
    "`depends.docker-images` has either `target` (one file) or `target-dir` (one file per image), "
    "relative to the package and inside it; and either `list` or `from-file`. Each image of the "
    "list is pinned by a digest, such as `alpine@sha256:…`, so that the package stays the same.",
)
BAD_TAG_TEMPLATE = Code(
    704,
    "The tag template is invalid",
    "The tag of a package is a template of Go's text/template: `{{.Hash}}` is the hash. Dolmen "
    "supports text, `{{.Hash}}`, strings and numbers, pipelines, the functions printf, print, "
    "slice, len, and, or, not, eq, ne, lt, le, gt and ge, `if`, `with` and `range`, variables, "
    "comments, and the trim markers `{{-` and `-}}`.",
)
BAD_TAG = Code(
    705,
    "An invalid tag",
    "A tag has up to 128 letters, digits, `_`, `.` and `-`, and does not begin with `.` or `-`.",
)
NOT_COMMITTED = Code(
    706,
    "The package is not committed in git",
    "The tag of a package is the hash of its tree in git, so the commit must have the directory. "
    "Commit it, or set the hash with `--hash`. Outside of git the tag is a hash of the files.",
)
BAD_COMMIT = Code(
    707,
    "The commit does not exist",
    "`--hash-commit` accepts everything that `git rev-parse` does: a branch, a tag, the hash of a "
    "commit, `HEAD~1`. Without it, a repository without commits is no error: the tag is a hash of "
    "the files.",
)
BAD_HASH_PATH = Code(
    708,
    "The hash path does not fit the package",
    "`--hash-path` names the directory whose tree is hashed instead of the package's own. It is "
    "the directory of the package or one of its parents.",
)
DIRTY_RELEASE = Code(
    709,
    "A package with uncommitted changes cannot be released",
    "A release is built from a commit, so that it can be built again. Commit the changes (`git "
    "status` shows them) or remove them.",
)
BAD_PACKAGE_REFERENCE = Code(
    710,
    "A reference to a package cannot be resolved",
    "A text such as `@pkg:./pkg/sshd` in image.yml stands for the image of the package in that "
    "directory, which is relative to the YAML file.",
)
BAD_BUILD_ARGUMENT = Code(
    711,
    "An invalid build argument",
    "An entry of `buildArgs` is `KEY=VALUE`. A value `@lkt:pkg:DIR` (or `@dolmen:pkg:DIR`) stands "
    "for the image reference of the package in that directory; `KEY%=@lkt:pkgs:PATTERN` adds an "
    "argument for each package that the pattern matches, with its ORG_IMAGE in capitals instead of "
    "the `%`.",
)
BAD_NAME = Code(
    712,
    "The name of the package is not valid for an image",
    "The name of a package is `ORG/IMAGE`. `image` is a single component in lower case; `org` can "
    "have several components and begin with a registry, such as `reg.example.com:5000/team`.",
)
BAD_RECIPE = Code(
    720,
    "The recipe in build.yml is invalid",
    "The section `debs` has the Debian packages of the image (`suite` and `packages`) and changes "
    "to them. docs/reference-packages.md describes all keys with examples.",
)
NO_MIRROR = Code(
    721,
    "No archive of Debian packages is configured",
    "Dolmen uses the archives of this machine's apt (/etc/apt/sources.list and sources.list.d), or "
    "mirrors from `--debian-mirror`, DOLMEN_DEBIAN_MIRROR or `debian.mirror` in the configuration "
    "file. On a host other than Debian, one of these names a mirror.",
)
NO_KEYRING = Code(
    722,
    "The keys of the archive are missing",
    "The index of an archive is only trusted if its signature is valid. Its keys are those of "
    "`--debian-keyring`, else of the package debian-archive-keyring, else those in Dolmen, which "
    "are for bookworm, trixie and later suites.",
)
BROKEN_DEB = Code(
    723,
    "A Debian package is broken",
    "The file is not a Debian package, is truncated, or has forbidden content, such as a path "
    "outside of its root. Remove it from the store to fetch it again.",
)
DIGEST_MISMATCH = Code(
    724,
    "A Debian package does not match the index of the archive",
    "Each package is compared with its digest in the signed index before it is used. A mirror that "
    "is being updated may serve an old file; otherwise do not trust the mirror.",
)
BAD_SIGNATURE = Code(
    725,
    "The signature of an archive is invalid, expired or missing",
    "The index of an archive is signed with Debian's keys. Without a valid signature neither the "
    "index nor the packages of the archive are used.",
)
UNRESOLVABLE = Code(
    726,
    "The packages of the recipe cannot be installed together",
    "A name is wrong, a package is not available for the architecture, or a dependency cannot be "
    "satisfied. The message has the output of apt.",
)
VERSION_NOT_FOUND = Code(
    727,
    "The archive no longer has a required version",
    "Archives replace old files: security updates come within days, point releases every two "
    "months. `dolmen pkg lock DIR` writes a new lock with the current versions. `--debian-mirror` "
    "can name a mirror that keeps all versions (a snapshot).",
)
FILE_CONFLICT = Code(
    728,
    "Two packages have the same file",
    "Packages of a recipe can share directories, but not files, unless one of them replaces the "
    "other. Remove a package with `exclude`, or the file with `drop`.",
)
NOT_IN_POOL = Code(
    738,
    "A Debian package or index is not in the store",
    "With `--offline`, recipes are built from the packages and the indexes that earlier "
    "builds have left in the store. Build the package once without `--offline`; a lock "
    "(`dolmen pkg lock DIR`) needs only its packages, and no index.",
)
NEEDS_NETWORK = Code(
    739,
    "A part of a build needs the network, and --offline forbids it",
    "RUN has no network then. What a builder fetches by itself cannot be prevented: "
    "ADD of a URL, a `# syntax=` line, an SBOM scanner, a builder on another machine. Build once "
    "without `--offline`: the image stays in the store.",
)
BAD_LOCK = Code(
    729,
    "The package lock does not match the recipe",
    "`debs.lock` has the exact Debian packages of an image. `dolmen pkg lock DIR` writes it; run "
    "it again when the recipe in build.yml has changed, and commit the file.",
)
NO_BUILDER = Code(
    730,
    "The package cannot be built on this machine",
    "Dolmen itself builds a package with a recipe (`debs:` in build.yml). A package with a "
    "Dockerfile needs a builder.",
)
PLATFORM_NOT_SUPPORTED = Code(
    731,
    "The package does not support the platform",
    "`arches` in build.yml lists the architectures of a package; `--platforms` selects some of "
    "them. At least one package of the call has to support each.",
)
NOT_PUSHED = Code(
    732,
    "The registry does not have the images of all architectures",
    "An index lists the images of all architectures, which are pushed as TAG-ARCH. `dolmen pkg "
    "push` pushes the images and the index; `dolmen pkg index` creates the index of images that "
    "several machines have pushed.",
)
DEPENDENCY_CIRCLE = Code(
    733,
    "Packages depend on each other in a circle",
    "A package is built after its dependencies: the packages that its FROM and the `@lkt:pkg:` "
    "values of its buildArgs name. At least one package must not depend on the others.",
)
NOT_BUILT = Code(
    734,
    "The image of a package was not built",
    "`--nobuild` only pushes images of the store. Build the package first.",
)
BUILDER_BUSY = Code(
    735,
    "A builder is in use",
    "The cache of a builder can only be cleared when no build runs. Wait for the end of the build.",
)
OUTDATED_LOCK = Code(
    736,
    "A package lock is outdated",
    "`dolmen pkg lock --check` compares `debs.lock` with the packages that would be chosen now. "
    "The message lists the differences; `dolmen pkg lock DIR` writes a new lock. Builds use the "
    "packages of the lock.",
)
SOME_NOT_BUILT = Code(
    737,
    "Some packages were not built",
    "A package that cannot be built does not stop the build of packages that do not depend on it, "
    "or of other architectures. The message lists the missing images; the errors are above it. All "
    "images that were built are in the store, and are not built again.",
)
BAD_DOCKERFILE = Code(
    740,
    "The Dockerfile is invalid",
    "Each instruction begins a line, and the first one (except ARG) is FROM. The message shows the "
    "line.",
)
NO_DOCKERFILE = Code(
    741,
    "The package has no Dockerfile",
    "A package is built from a Dockerfile beside build.yml (`dockerfile:` gives another name), or "
    "from Debian packages by a recipe, `debs:` in build.yml.",
)
BAD_CONTEXT = Code(
    742,
    "The Dockerfile copies files that do not exist or may not be copied",
    "COPY and ADD use files of the package's directory, of its extra sources, of earlier stages "
    "and of images. Files that .dockerignore excludes cannot be copied; a path cannot leave the "
    "directory, not even through a symbolic link.",
)
BUILD_FAILED = Code(
    743,
    "An instruction of the Dockerfile failed",
    "The message has the last lines that were printed; `-v` shows all of them. RUN has no network "
    "unless build.yml has `network: true`.",
)
NO_EMULATION = Code(
    744,
    "This machine cannot run programs of the target platform",
    "RUN starts programs of the stage's platform. Build in a stage for this machine's platform "
    "(`FROM --platform=$BUILDPLATFORM …`) and cross-compile for $TARGETARCH, install "
    "qemu-user-static for emulation, or choose platforms with `--platforms`.",
)
GO_BUILD_FAILED = Code(
    746,
    "A Go program could not be compiled",
    "The messages are those of `go build`, with their places. Modules are not downloaded unless "
    "build.yml has `network: true`: commit them with `go mod vendor`.",
)
NO_GO_TOOLCHAIN = Code(
    747,
    "The image has no Go toolchain",
    "`go.toolchain` in build.yml names the image, or the package (`@dolmen:toolchain-go`, "
    "`@dolmen:pkg:DIR`), whose Go compiles the programs: in /usr/lib/go-VERSION as in Debian, or "
    "in /usr/local/go.",
)
CLASSIC_BUILDER = Code(
    745,
    "Docker's classic builder is used, because no better one is installed",
    "The classic builder of the Docker daemon is not reproducible, has no caches for RUN and no "
    "heredocs, and builds for one platform. Dolmen uses it if neither buildah nor `docker buildx` "
    "is installed, or with `--builder docker`. Install buildah.",
)
FOREIGN_REPOSITORY = Code(
    748,
    "A git repository of another user",
    "git does not read repositories that belong to another user, since their configuration can "
    "start programs. If you trust it, `git config --global --add safe.directory DIRECTORY` permits "
    "it; a directory that you copied or mounted may need `chown` instead.",
)
DAMAGED_FILE = Code(
    749,
    "A kept file was damaged, and is made again",
    "A Debian package or a Go toolchain below the store did not match its checksum. The package is "
    "downloaded again, and the toolchain is unpacked from its image again. Check the disk, unless "
    "the power has failed.",
)
UNKNOWN_PACKAGE = Code(
    750,
    "The catalogue has no package of this name",
    "`@dolmen:NAME` in image.yml or after `dolmen pkg build` names a package that comes with "
    "Dolmen. `dolmen pkg list` shows the names.",
)
BAD_GIT_REFERENCE = Code(
    760,
    "An invalid reference to a git repository",
    "`@git:URL#REF:DIR` names the package in the directory DIR of a git repository. The URL begins "
    "with https:, ssh:, git: or file:, and contains no password; REF is a branch, a tag or a whole "
    "commit. A YAML file from a URL or from standard input has no lock, so it names commits, and "
    "one from a URL uses https only. `@oci:NAME//DIR` names a package of a repository that `dolmen "
    "pkg publish` has pushed to a registry.",
)
GIT_FETCH_FAILED = Code(
    761,
    "A git repository cannot be fetched",
    "The message has what git said. git uses its configuration of your user: proxies, credential "
    "helpers, keys. Dolmen never asks for a password. A commit that was fetched once needs no "
    "network any more.",
)
GIT_REF_NOT_FOUND = Code(
    762,
    "The repository does not have this branch, tag or commit",
    "A branch or tag may have been removed, and a commit may have been removed by a forced push. "
    "`git ls-remote URL` lists the branches and tags.",
)
GIT_DIRECTORY_NOT_FOUND = Code(
    763,
    "The repository does not have this directory",
    "The directory in `@git:URL#REF:DIR` starts at the top of the repository. Symbolic links in it "
    "are not followed.",
)
BAD_REFERENCE_LOCK = Code(
    764,
    "The lock of references is invalid",
    "`image.lock` beside image.yml has the commit of each `@git:` and `@oci:` reference, so that "
    "every build uses the same. `dolmen lock` writes it. After a merge conflict, keep one side of "
    "each entry.",
)
GIT_NOT_IN_STORE = Code(
    765,
    "The store does not have a commit that --offline needs",
    "With `--offline`, no repository is asked. `dolmen lock image.yml` fetches all commits that a "
    "YAML file names.",
)
GIT_REFUSED = Code(
    766,
    "A git repository is broken, too large, or does what it may not do",
    "A package from `@git:` may use files of its repository only: paths that lead out of it, also "
    "through symbolic links, are refused, and so are submodules and Go programs (`go:`), whose "
    "toolchain would run as your user. If you trust the repository, clone it, and name the "
    "directory with `@pkg:`.",
)
KERNEL_BUILD_FAILED = Code(
    775,
    "A kernel could not be compiled",
    "`linux` in build.yml compiles the source in a Debian package linux-source-… with the "
    "compilers of an image (`@dolmen:toolchain-kernel`), in namespaces without the network. The "
    "messages are those of the compiler; the log of the build has all of them. If namespaces "
    "cannot be created, allow user namespaces for your user, or build as root.",
)
KERNEL_OPTION_UNMET = Code(
    776,
    "The kernel does not have an option that was asked for",
    "The kernel's own tools drop options whose dependencies are not met, without an error. The "
    "message names what is missing: ask for it in a fragment of `linux.config`, or leave the "
    "option out.",
)
