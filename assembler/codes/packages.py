"""Codes of the stage "packages": build.yml, tags, recipes and builders."""

from assembler.codes import Code

NOT_A_PACKAGE = Code(
    701,
    "The directory is not a package",
    "A package is a directory with a build.yml in it, which says at least `image: NAME`. "
    "`--build-yml` gives the file another name. docs/packages.md describes every field.",
)
BAD_SOURCE = Code(
    702,
    "An extra source cannot be used",
    "Each of `extra-sources` is `SOURCE:DESTINATION`. The source is a directory, relative to the "
    "package, and is committed in a git repository, because its tree hash is part of the tag. The "
    "destination is the path in the build context.",
)
BAD_DEPENDS = Code(
    703,
    "What `depends` says does not fit together",
    "`depends.docker-images` has either `target` (one file) or `target-dir` (one file per image), "
    "relative to the package and inside it; and either `list` or `from-file`. Every image in the "
    "list is pinned by a digest, as `alpine@sha256:…`, so that the package stays the same.",
)
BAD_TAG_TEMPLATE = Code(
    704,
    "The template of the tag cannot be used",
    "The tag of a package is a template as of Go's text/template: `{{.Hash}}` stands for the hash. "
    "Understood are text, `{{.Hash}}`, strings and numbers, pipelines, the functions printf, "
    "print, slice and len, comments, and the trimming marks `{{-` and `-}}`.",
)
BAD_TAG = Code(
    705,
    "The tag is not one that a registry accepts",
    "A tag has up to 128 letters, digits, `_`, `.` and `-`, and does not begin with `.` or `-`.",
)
NOT_COMMITTED = Code(
    706,
    "The package is not committed in git",
    "The tag of a package is the hash of its tree in git, so the directory has to be in the commit "
    "that is looked at. Commit it, or give the hash with `--hash`. Outside of git the tag is "
    "`latest`.",
)
BAD_COMMIT = Code(
    707,
    "There is no such commit",
    "`--hash-commit` takes anything `git rev-parse` understands: a branch, a tag, a commit's hash, "
    "`HEAD~1`. In a repository without any commit there is no hash yet.",
)
BAD_HASH_PATH = Code(
    708,
    "The hash path does not fit the package",
    "`--hash-path` names a directory whose tree is hashed in place of the package's own. It is the "
    "package's directory or a parent of it.",
)
DIRTY_RELEASE = Code(
    709,
    "A package with changes that are not committed cannot be released",
    "A release is made of what is committed, so that it can be made again. Commit the changes "
    "(`git status` shows them) or remove them.",
)
BAD_PACKAGE_REFERENCE = Code(
    710,
    "A reference to a package cannot be resolved",
    "A text as `@pkg:./pkg/sshd` in image.yml stands for the image of the package in that "
    "directory, which is relative to the file that says it.",
)
BAD_BUILD_ARGUMENT = Code(
    711,
    "A build argument is not as it should be",
    "Each of `buildArgs` is `KEY=VALUE`. A value `@lkt:pkg:DIR` (or `@dolmen:pkg:DIR`) stands for "
    "the name of the package in that directory; `KEY%=@lkt:pkgs:PATTERN` makes an argument for "
    "every package that the pattern finds.",
)
BAD_NAME = Code(
    712,
    "The name of the package is not one that an image can have",
    "A package is called `ORG/IMAGE`. `image` is one part in lower case; `org` may have several "
    "parts and begin with a registry, as `reg.example.com:5000/team`.",
)
BAD_RECIPE = Code(
    720,
    "The recipe in build.yml cannot be followed",
    "`debs` says of which Debian packages the image is made: `suite` and `packages`, and what is "
    "done to them. docs/packages.md describes every field with an example.",
)
NO_MIRROR = Code(
    721,
    "There is no archive to take Debian packages from",
    "Debian packages come from the archives that this machine's apt uses (/etc/apt/sources.list "
    "and sources.list.d), or from mirrors named with `--debian-mirror` or DOLMEN_DEBIAN_MIRROR.",
)
NO_KEYRING = Code(
    722,
    "The keys of the archive are not here",
    "What an archive offers is only trusted with its signature. Install "
    "`debian-archive-keyring`, or name a keyring with `--debian-keyring`.",
)
BROKEN_DEB = Code(
    723,
    "A Debian package is broken",
    "The file is not a Debian package, is cut off, or holds what no package may hold, as a path "
    "outside of its root. It is fetched again if it is removed from the store.",
)
WRONG_DEB = Code(
    724,
    "A Debian package is not what the archive's index says",
    "Every package is compared with the digest in the signed index before it is used. A mirror "
    "that is just being updated may give an old file; otherwise do not trust it.",
)
BAD_SIGNATURE = Code(
    725,
    "The signature of an archive is wrong, expired or missing",
    "An archive's index is signed with Debian's keys. Nothing is used of one whose signature does "
    "not hold: not the index, not its packages.",
)
UNRESOLVED = Code(
    726,
    "The packages of the recipe cannot be had together",
    "A name is wrong, a package does not exist for the architecture, or what packages depend on "
    "cannot be met. The message has what apt says.",
)
VERSION_GONE = Code(
    727,
    "The archive no longer has a version that is wanted",
    "Archives move on: security updates come within days, point releases every two months, and the "
    "old files go. `dolmen pkg lock DIR` writes a new lock of what there is now. A mirror that "
    "keeps everything (a snapshot) can be named with `--debian-mirror`.",
)
FILE_CONFLICT = Code(
    728,
    "Two packages have the same file",
    "Packages that are laid over each other may share directories, not files, unless one says that "
    "it replaces the other. Leave one out with `exclude`, or the file with `drop`.",
)
BAD_LOCK = Code(
    729,
    "The lock does not fit",
    "`debs.lock` says exactly which Debian packages an image is made of. `dolmen pkg lock DIR` "
    "writes it; make it anew when the recipe in build.yml has changed, and commit it.",
)
NO_BUILDER = Code(
    730,
    "The package cannot be built here",
    "A package with a recipe (`debs:` in build.yml) is built by Dolmen itself. One with a "
    "Dockerfile needs a builder.",
)
NO_PLATFORM = Code(
    731,
    "The package is not made for the platform",
    "`arches` in build.yml lists the architectures a package is made for; `--platforms` chooses "
    "among them.",
)
NOT_PUSHED = Code(
    732,
    "The images of the architectures are not at the registry",
    "An index lists the images of all architectures, which are pushed as TAG-ARCH. `dolmen pkg "
    "push` pushes them and the index together; `dolmen pkg index` makes the index of what several "
    "machines have pushed.",
)
DEPENDENCY_CIRCLE = Code(
    733,
    "Packages depend on one another in a circle",
    "A package is built after those it begins with: what its FROM names, and what its buildArgs "
    "name with `@lkt:pkg:`. There has to be one to begin with.",
)
NOT_BUILT = Code(
    734,
    "The image of a package is not there, and is not to be built",
    "With `--nobuild` only what the store has is pushed. Build the package first.",
)
BUILDER_BUSY = Code(
    735,
    "A builder is at work",
    "What a builder keeps is only cleared away when it builds nothing. Wait for the build to end.",
)
LOCK_BEHIND = Code(
    736,
    "A lock is not of the newest packages",
    "`dolmen pkg lock --check` compares what `debs.lock` says with what would be chosen now. The "
    "message has what is otherwise; `dolmen pkg lock DIR` writes it down. A build goes on with the "
    "packages of the lock.",
)
NOT_ALL_BUILT = Code(
    737,
    "Some packages were not built",
    "A package that cannot be built does not keep those from being built that do not need it, nor "
    "does one architecture keep another. The list has what is missing now; what went wrong stands "
    "above it. Everything that was built is in the store, and is not built again.",
)
BAD_DOCKERFILE = Code(
    740,
    "The Dockerfile is not understood",
    "Every instruction stands at the beginning of a line, the first (besides ARG) is FROM. The "
    "message points at the line.",
)
NO_DOCKERFILE = Code(
    741,
    "The package has no Dockerfile",
    "A package is made by a Dockerfile beside build.yml (`dockerfile:` gives it another name), or "
    "of Debian packages by a recipe, `debs:` in build.yml.",
)
BAD_CONTEXT = Code(
    742,
    "Files that the Dockerfile copies are not there, or may not be copied",
    "COPY and ADD take files of the package's directory, its extra sources, earlier stages and "
    "images. What .dockerignore leaves out is not there; a path may not leave the directory, not "
    "by a symbolic link either.",
)
BUILD_FAILED = Code(
    743,
    "An instruction of the Dockerfile failed",
    "The message has the last lines that were printed; `-v` shows all of them. RUN has no network "
    "unless build.yml says `network: true`.",
)
NO_EMULATION = Code(
    744,
    "This machine cannot run programs of the platform that is built for",
    "RUN starts programs of the stage's platform. Build in a stage of this machine's platform "
    "(`FROM --platform=$BUILDPLATFORM …`) and cross-compile for $TARGETARCH, install "
    "qemu-user-static for emulation, or choose platforms with `--platforms`.",
)
CLASSIC_BUILDER = Code(
    745,
    "Docker's classic builder is used, for want of a better one",
    "The builder that every Docker daemon has cannot make the same image twice, has no caches for "
    "RUN, no texts in the Dockerfile, and builds for one platform. It is used if there is neither "
    "buildah nor `docker buildx`, or if `--builder docker` asks for it. Install buildah.",
)
