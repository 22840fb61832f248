"""Several files as one system, and what is known only when all of them have been read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.codes import packages
from assembler.config import ConfigInput, LoadOptions, load_config, load_config_inputs
from assembler.config.model import Container
from assembler.errors import ConfigError, PackageError
from assembler.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.config import LoadedConfig
    from test.unit.config.conftest import Load


def refusals(load_config: Load, *texts: str, options: LoadOptions | None = None) -> list[str]:
    """Return place and message of everything that is wrong with the texts."""
    with pytest.raises(ConfigError) as caught:
        load_config(*texts, options=options)
    return [f"{d.place}: {d.message}" for d in caught.value.diagnostics]


def test_lists_are_joined_and_kernel_members_replaced(load_text: Load) -> None:
    """Merging is LinuxKit's: lists in order, the kernel member by member."""
    config = load_text(
        "kernel: {image: k:1, cmdline: one, ucode: u}\ninit: [a:1]\n"
        "files: [{path: x, contents: a}]",
        "kernel: {cmdline: two, binary: b, ucode: '', image: ''}\ninit: [b:1]",
        "files: [{path: y, contents: c}]\nkernel: {cmdline: ''}",
    ).config
    assert config.init == ("a:1", "b:1")
    assert [f.path for f in config.files] == ["x", "y"]
    kernel = config.kernel
    assert kernel is not None
    assert (kernel.image, kernel.cmdline, kernel.binary, kernel.ucode) == ("k:1", "two", "b", "")


def test_the_last_section_trust_counts(load_text: Load) -> None:
    """A file without the section does not remove that of an earlier file."""
    one, two = "trust: {org: [one]}", "trust: {org: [two]}"
    for texts, org in (((one, "init: []"), "one"), (("init: []", one), "one"), ((one, two), "two")):
        trust = load_text(*texts).config.trust
        assert trust is not None
        assert trust.org == (org,)


def test_merged_values_know_their_files(load_text: Load) -> None:
    """After merging every value still knows the file it came from."""
    config = load_text(
        "kernel: {image: k:1, cmdline: one}\ninit: [a:1]\nservices: [{name: s, image: 'i:1'}]",
        "kernel: {cmdline: two}\ninit: [b:1, c:1]\nservices: [{name: t, image: 'j:1'}]",
    ).config
    assert str(config.positions.place_of("init", 0)) == "a.yml:2:8"
    assert str(config.positions.place_of("init", 2)) == "b.yml:2:13"
    assert str(config.positions.place_of("services", 1, "image")) == "b.yml:3:29"
    assert str(config.services[1].positions.place_of("image")) == "b.yml:3:29"
    assert config.kernel is not None
    assert str(config.kernel.positions.place_of("image")) == "a.yml:1:17"
    assert str(config.kernel.positions.place_of("cmdline")) == "b.yml:1:19"


def test_a_missing_key_and_an_empty_value_differ(load_text: Load) -> None:
    """None means not given; an empty list was given as empty."""
    (service,) = load_text(
        "services: [{name: s, image: 'i:1', env: [], hostname: ''}]"
    ).config.services
    assert isinstance(service, Container)
    assert (service.env, service.hostname, service.command, service.readonly) == (
        (),
        "",
        None,
        None,
    )


def test_resources_are_as_the_runtime_specification_spells_them(load_text: Load) -> None:
    """`blockio` is blockIO, and sizes of huge pages are texts."""
    resources = (
        load_text(
            "services: [{name: s, image: 'i:1', resources: {blockio: {weight: 10}, hugepageLimits: "
            "[{pageSize: 2, limit: 9}, {pageSize: 1073741824, limit: 1}, "
            "{pageSize: 64KB, limit: 2}, {pageSize: 66048, limit: 3}, {pageSize: 65535}]}}]"
        )
        .config.services[0]
        .resources
    )
    assert resources == {
        "blockIO": {"weight": 10},
        "hugepageLimits": [
            {"pageSize": "2MB", "limit": 9},
            {"pageSize": "1GB", "limit": 1},
            {"pageSize": "64KB", "limit": 2},
            {"pageSize": "64KB", "limit": 3},
            {"pageSize": "65535MB"},
        ],
    }


def test_volumes_and_ids_of_all_files_count(load_text: Load) -> None:
    """A volume and a container of one file can be used in the others, in any order."""
    text = "services: [{name: s, image: 'i:1', binds: ['v:/v'], uid: t}]"
    assert load_text(text, "volumes: [{name: v}]\nonboot: [{name: t, image: 'i:1'}]").config.volumes
    assert refusals(load_text, text) == [
        "a.yml:1:44: there is no volume 'v'",
        "a.yml:1:58: uid is 't', but no container has this name",
    ]


def test_names_are_unique_over_all_files(load_text: Load) -> None:
    """The second use is refused, and the first one shown."""
    with pytest.raises(ConfigError) as caught:
        load_text(
            "services: [{name: s, image: 'i:1'}]\nvolumes: [{name: v}]",
            "volumes: [{name: v}]\nservices: [{name: s, image: 'i:1'}]",
        )
    found = [(str(d.code), str(d.place), str(d.remarks[0].place)) for d in caught.value.diagnostics]
    assert found == [
        ("DM0111", "b.yml:1:18", "a.yml:2:18"),
        ("DM0110", "b.yml:2:19", "a.yml:1:19"),
    ]


def test_a_name_that_a_mistake_may_have_removed_is_not_unknown(load_text: Load) -> None:
    """A volume whose name is wrong, or in a file that is broken, does not make others unknown."""
    bind = "services: [{name: s, image: 'i:1', binds: ['v:/v'], uid: t}]\n"
    for other in ("volumes: [{nmae: v}]", "volume: [{name: v}]", "volumes: {name: v}"):
        assert not any("no volume" in r for r in refusals(load_text, bind + other))
    assert refusals(load_text, bind, "volumes: [") == [
        "b.yml:1:11: the file ends, but a value is expected"
    ]
    # Nor is a command line without effect, if the key of the image may be misspelled.
    (only,) = refusals(load_text, "kernel: {imge: 'k:1', cmdline: x}")
    assert "unknown key 'imge'" in only
    wrong_elsewhere = refusals(load_text, bind + "volumes: [{name: w, format: zip}]")
    assert any("no volume" in r for r in wrong_elsewhere)


def test_the_mistakes_of_all_files_are_reported_together(load_text: Load) -> None:
    """Files are told in their order, places within them in theirs."""
    assert [
        r.split(": ")[0] for r in refusals(load_text, "bogus: 1\ninit: a", "x: [", "init: [1]")
    ] == [
        "a.yml:1:1",
        "a.yml:2:7",
        "b.yml:1:5",
        "c.yml:1:8",
    ]


def test_the_number_of_reported_mistakes_is_limited(load_text: Load) -> None:
    """A hundred are shown, and how many there are beyond."""
    with pytest.raises(ConfigError) as caught:
        load_text("services:\n" + "  - {name: s, image: 'i:1', bogus: 1}\n" * 300)
    assert len(caught.value.diagnostics) == 100
    assert "not shown" in caught.value.diagnostics[-1].hints[-1]


def test_image_names_are_checked_by_the_given_function(load_text: Load) -> None:
    """The checker's words get the place of the name."""
    options = LoadOptions(check_reference=Reference.parse)
    text = "init: [UPPER, ok:1]\nkernel: {image: ''}\nonboot: [{name: a, image: ''}]"
    found = refusals(load_text, text, options=options)
    assert [f.split(": ")[0] for f in found] == ["a.yml:1:8", "a.yml:3:27"]


class Packages:
    """Knows the package `tool`, and no other."""

    def __init__(self) -> None:
        """Remember what is asked for."""
        self.asked: list[Path] = []

    def reference(self, directory: Path) -> str:
        """Return the name of the package's image."""
        self.asked.append(directory)
        if directory.name != "tool":
            raise PackageError.of(packages.NOT_A_PACKAGE, f"there is no package {directory}")
        return "docker.io/example/tool:abc"


TEMPLATES = """
init: ['@pkg:pkgs/tool']
services:
  - {name: s, image: '@pkg:./pkgs/tool', command: ['@', '@x', '@pkg:none', 'a @pkg:tool']}
files: [{path: c, contents: '@pkg:tool'}]
"""


def test_templates_are_replaced_wherever_a_text_begins_with_one() -> None:
    """Names of images, and all other texts; another word with @ stays as it is."""
    packages = Packages()
    given = ConfigInput("sub/a.yml", TEMPLATES.encode(), Path("sub"))
    loaded = load_config_inputs([given], LoadOptions(packages=packages))
    assert loaded.config.init == ("docker.io/example/tool:abc",)
    (service,) = loaded.config.services
    assert service.image == "docker.io/example/tool:abc"
    assert service.command == ("@", "@x", "@pkg:none", "a @pkg:tool")
    assert loaded.config.files[0].contents == "docker.io/example/tool:abc"
    assert packages.asked[0] == Path("sub/pkgs/tool")
    assert [str(w.place) for w in loaded.warnings] == ["sub/a.yml:4:63"]


def test_an_image_needs_its_package(load_text: Load) -> None:
    """Where the name of an image is wanted, a package that is not there is an error."""
    options = LoadOptions(packages=Packages())
    text = (
        "init: ['@pkg:none']\n"
        "kernel: {image: '@pkg:none', cmdline: '@pkg:none'}\n"
        "volumes: [{name: v, image: '@pkg:none'}]\n"
        "onshutdown: [{name: s, image: '@pkg:none', hostname: '@pkg:none'}]"
    )
    with pytest.raises(ConfigError) as caught:
        load_text(text, options=options)
    assert [(str(d.severity), str(d.place)) for d in caught.value.diagnostics] == [
        ("error", "a.yml:1:8"),
        ("error", "a.yml:2:17"),
        ("warning", "a.yml:2:39"),
        ("error", "a.yml:3:28"),
        ("error", "a.yml:4:31"),
        ("warning", "a.yml:4:54"),
    ]


def test_a_file_by_url_has_no_packages_beside_it() -> None:
    """Where no directory is, no package is."""
    given = ConfigInput("http://example.com/a.yml", b"init: ['@pkg:tool']")
    with pytest.raises(ConfigError, match="from a URL has no local directory"):
        load_config_inputs([given], LoadOptions(packages=Packages()))


CATALOG = """
kernel: {image: '@dolmen:kernel-virtual'}
init: ['@dolmen:init', '@dolmen:inti']
onboot: [{name: b, image: '@dolmen:dhcp'}]
onshutdown: [{name: d, image: '@dolmen:poweroff'}]
services: [{name: s, image: '@dolmen:nginx', command: ['@dolmen:init', '@dolmen:home']}]
volumes: [{name: v, image: '@dolmen:base'}]
files: [{path: c, contents: '@dolmen:sshd'}]
"""


class Directories:
    """A resolver that names the images of all directories."""

    def reference(self, directory: Path) -> str:
        """Return the name of the package's image."""
        return f"docker.io/ours/{directory.parent.name}/{directory.name}:1"


@pytest.mark.parametrize("url", ["", "http://example.com/a.yml"])
def test_names_of_the_catalogue_are_replaced_everywhere(url: str) -> None:
    """A file from a URL may use them, since they name nothing of this machine."""
    text = CATALOG.replace(", '@dolmen:inti'", "")
    one = ConfigInput("a.yml", text.encode(), None if url else Path(), url=url)
    two = ConfigInput("b.yml", b"init: ['@dolmen:crun']", Path())
    loaded = load_config_inputs([one, two], LoadOptions(packages=Directories()))
    config = loaded.config
    assert config.kernel is not None
    assert config.kernel.image == "docker.io/ours/kernel/virtual:1"
    assert config.init == ("docker.io/ours/pkg/init:1", "docker.io/ours/pkg/crun:1")
    containers = (*config.onboot, *config.onshutdown, *config.services, *config.volumes)
    assert [c.image.split("/")[-1] for c in containers] == [
        *("dhcp:1", "poweroff:1", "nginx:1", "base:1")
    ]
    assert config.services[0].command == ("docker.io/ours/pkg/init:1", "@dolmen:home")
    assert config.files[0].contents == "docker.io/ours/pkg/sshd:1"
    assert [str(w.place) for w in loaded.warnings] == ["a.yml:6:72"]


def test_an_unknown_name_of_the_catalogue_has_a_place_and_the_nearest_name() -> None:
    given = ConfigInput("a.yml", CATALOG.encode(), Path())
    with pytest.raises(ConfigError) as caught:
        load_config_inputs([given], LoadOptions(packages=Directories()))
    (found, _) = caught.value.diagnostics
    assert (str(found.code), str(found.place)) == ("DM0750", "a.yml:3:24")
    assert found.message == "the catalogue has no package 'inti'"
    assert found.hints == ("did you mean @dolmen:init?",)
    assert "^^^^" in str(caught.value)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a current directory with a directory `sub` in it, and a home."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def load_source(source: str, more: str = "") -> LoadedConfig:
    """Load sub/image.yml with a file that has this source."""
    Path("sub/image.yml").write_text(f"files: [{{path: x, source: '{source}'{more}}}]")
    return load_config(["sub/image.yml"])


def found_in(loaded: LoadedConfig) -> Sequence[Path | None]:
    """Return where the sources were found."""
    return [file.source_path for file in loaded.config.files]


def test_a_source_is_beside_its_file(project: Path) -> None:
    """The directory of the YAML file comes before the current one."""
    (project / "sub/here").write_text("1")
    (project / "here").write_text("2")
    loaded = load_source("here")
    assert found_in(loaded) == [Path("sub/here")]
    assert not loaded.warnings


def test_a_source_in_the_current_directory_is_taken_with_a_warning(project: Path) -> None:
    """As LinuxKit does, but not silently."""
    (project / "here").write_text("2")
    loaded = load_source("here")
    assert found_in(loaded) == [Path("here")]
    (warning,) = loaded.warnings
    assert (str(warning.code), str(warning.place)) == ("DM0135", "sub/image.yml:1:27")


def test_a_source_with_a_tilde_is_in_the_home_directory(project: Path) -> None:
    """`~/` is the home directory."""
    (project / "home/key").write_text("k")
    assert found_in(load_source("~/key")) == [project / "home/key"]


def test_a_missing_source_is_refused_unless_it_is_optional(project: Path) -> None:
    """The message names what is beside it and alike."""
    (project / "sub/here.txt").write_text("1")
    with pytest.raises(ConfigError, match=r"no file sub/here\.tx\b(.|\n)*did you mean here\.txt"):
        load_source("here.tx")
    assert found_in(load_source("here.tx", ", optional: true")) == [None]


def test_a_source_is_a_regular_file(project: Path) -> None:
    """A directory, or a link that leads nowhere, is refused."""
    (project / "sub/dir").mkdir()
    (project / "sub/dangling").symlink_to("nowhere")
    with pytest.raises(ConfigError, match="is a directory"):
        load_source("dir")
    with pytest.raises(ConfigError, match="dangling symbolic link"):
        load_source("dangling")


def test_a_file_that_is_given_twice_is_refused(project: Path) -> None:
    """A file given twice would double everything in it."""
    (project / "a.yml").write_text("{}")
    with pytest.raises(ConfigError, match="given twice"):
        load_config(["a.yml", "a.yml"])


def test_a_refused_entry_leaves_the_places_of_the_others(load_text: Load) -> None:
    """What is said of the entries behind a wrong one points at them, in every list."""
    options = LoadOptions(check_reference=Reference.parse)
    found = refusals(load_text, 'init: [5, "a b"]', options=options)
    assert [place.split(": ")[0] for place in found] == ["a.yml:1:8", "a.yml:1:11"]
    inner = "onboot: [{name: a, image: i, binds: [5, /only], capabilities: [[], bad]}]"
    found = refusals(load_text, inner)
    assert {place.split(": ")[0] for place in found} == {
        f"a.yml:1:{inner.index(text) + 1}" for text in ("5, ", "/only", "[],", "bad")
    }
    found = refusals(load_text, "init: [5, a]", "init: ['b c']", options=options)
    assert [place.split(": ")[0] for place in found] == ["a.yml:1:8", "b.yml:1:8"]


class _NoPackages:
    """Knows no package."""

    def reference(self, directory: Path) -> str:
        raise PackageError.of(packages.NOT_A_PACKAGE, f"{directory} has no build.yml")


def test_a_value_of_the_wrong_type_causes_no_second_mistake(load_text: Load) -> None:
    """A value of the wrong type was given, all the same: its absence is no second mistake."""
    options = LoadOptions(packages=_NoPackages())
    for member in ("directory: yes", "symlink: 5", "contents: [a]"):
        text = f"files: [{{path: c, {member}}}]"
        (only,) = refusals(load_text, text, options=options)
        assert "must be" in only
