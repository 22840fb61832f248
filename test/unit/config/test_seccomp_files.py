"""`seccomp` in YAML files: two words, or the path of a profile whose mistakes have places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.config import ConfigInput, LoadedConfig, load_config_inputs, parse_label
from assembler.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def load(folder: Path, value: str) -> LoadedConfig:
    text = f"services:\n  - name: s\n    image: i:1\n    seccomp: {value}\n"
    return load_config_inputs([ConfigInput("image.yml", text.encode(), folder)])


def mistakes(folder: Path, value: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, value)
    return [f"{d.place} {d.code} {d.message}" for d in caught.value.diagnostics]


@pytest.mark.parametrize("word", ["default", "unconfined"])
def test_words_need_no_file(tmp_path: Path, word: str) -> None:
    (service,) = load(tmp_path, word).config.services
    assert (service.seccomp, service.seccomp_profile) == (word, None)


def test_a_profile_is_beside_its_yaml_file(tmp_path: Path) -> None:
    (tmp_path / "web.json").write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    (service,) = load(tmp_path, "web.json").config.services
    assert service.seccomp_profile == {"defaultAction": "SCMP_ACT_ALLOW"}
    # A build remembers where it has searched.
    assert service.seccomp_candidates[0] == tmp_path / "web.json"


def test_a_word_that_is_neither_a_word_nor_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "defualt")
    (diagnostic,) = caught.value.diagnostics
    assert str(diagnostic.code) == "DM0134"
    assert str(diagnostic.place) == "image.yml:4:14"
    assert diagnostic.hints == ("did you mean default?",)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "1:1 DM0132 not JSON: expecting value"),
        ('{\n\t"a",\n}', "2:5 DM0132 not JSON: expecting ':' delimiter"),
        ("[]", "1:1 DM0132 a profile is a mapping with `defaultAction` and `syscalls`"),
        ("{}", "1:1 DM0103 `defaultAction` is missing"),
        (
            '{\n\t"defaultAction": "SCMP_ACT_ALOW"\n}',
            "2:19 DM0104 `defaultAction` cannot be 'SCMP_ACT_ALOW'",
        ),
        (
            '{"defaultAction": "SCMP_ACT_ALLOW",\n "syscals": []}',
            "2:2 DM0101 unknown key 'syscals'",
        ),
        (
            '{"defaultAction": "SCMP_ACT_LOG", "syscalls": [\n{"names": ["Mount"], "action": 1}]}',
            "2:12 DM0106 'Mount' is not a valid value of an entry of `names`",
        ),
    ],
)
def test_mistakes_in_a_profile_have_places(tmp_path: Path, content: str, expected: str) -> None:
    (tmp_path / "web.json").write_text(content)
    assert mistakes(tmp_path, "web.json")[0] == f"{tmp_path}/web.json:{expected}"


def test_a_profile_may_not_be_huge(tmp_path: Path) -> None:
    (tmp_path / "web.json").write_bytes(b" " * (513 << 10))
    (told,) = mistakes(tmp_path, "web.json")
    assert told.endswith("DM0132 the profile is larger than 512 KiB")


def test_an_empty_text_is_no_profile(tmp_path: Path) -> None:
    assert mistakes(tmp_path, '""') == [
        "image.yml:4:14 DM0106 '' is not a valid value of `seccomp`"
    ]


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("unconfind", "did you mean unconfined?"),
        ("a/b.json", "a label has no files; possible values: default, unconfined"),
    ],
)
def test_a_label_has_no_files(value: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_label(f'{{"seccomp": "{value}"}}', "image:1")
    (diagnostic,) = caught.value.diagnostics
    assert str(diagnostic.code) == "DM0132"
    assert diagnostic.hints == (hint,)
