"""`verified` and `disk` in YAML files: forms, mistakes with their places, merging, rendering."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.config import (
    DataPartition,
    DiskSection,
    Healthy,
    Slots,
    Verified,
    parse_duration,
    parse_size,
    render_config,
    render_metadata,
)
from assembler.diagnostics import Severity
from assembler.errors import ConfigError

if TYPE_CHECKING:
    from test.unit.config.conftest import Load

ON = "verified: true\n"
SERVICES = "services: [{name: web, image: 'i:1'}]\n"


def test_true_is_short_for_a_mapping_with_all_defaults(load_text: Load) -> None:
    assert load_text("verified: true").config.verified == Verified()
    assert load_text("verified: {}").config.verified == Verified()
    assert load_text("verified: false").config.verified == Verified(enabled=False)
    assert load_text("init: [x]").config.verified is None


def test_a_mapping_has_all_details(load_text: Load) -> None:
    text = (
        "verified: {version: '1.2', filesystem: erofs, on-corruption: panic,\n"
        "  healthy: {services: [web], after: 5s, limit: 2m}}\n"
        "disk:\n  size: 8G\n  esp: 256M\n  slots: {root: 1G, hash: 16M}\n  growth: 3x\n"
        "  data: [{label: a, size: 16M, volume: v}, {label: b, encrypt: tpm, grow: true}]\n"
        "volumes: [{name: v}]\n" + SERVICES
    )
    config = load_text(text).config
    healthy = Healthy(("web",), None, "5s", "2m")
    assert config.verified == Verified("1.2", "erofs", "panic", healthy)
    assert config.disk == DiskSection(
        "8G",
        "256M",
        Slots("1G", "16M"),
        "3x",
        (
            DataPartition("a", size="16M", volume="v"),
            DataPartition("b", encrypt="tpm", grow=True),
        ),
    )
    for rendered in (
        render_config(config),
        render_metadata(config, "yaml"),
        render_metadata(config, "json"),
    ):
        again = load_text(rendered).config
        assert (again.verified, again.disk) == (config.verified, config.disk)
    assert "verified: true" in render_config(load_text(ON).config)
    assert "verified: false" in render_config(load_text("verified: false").config)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "verified: 1",
            "1:11 DM0102 `verified` must be true or false or a mapping, not the number 1",
        ),
        ("verified: {version: 1.10}", "1:21 DM0102 `version` must be text, not the number 1.10"),
        ("verified: {version: a_b}", "1:21 DM0106 'a_b' is not a valid value of `version`"),
        ("verified: {filesystem: ext4}", "1:24 DM0104 `filesystem` cannot be 'ext4'"),
        (
            "verified: {healthy: {services: [web]}}",
            "1:33 DM0147 there is no service 'web'",
        ),
        (
            "verified: {healthy: {command: 'web:true'}}",
            "1:31 DM0147 there is no service 'web'",
        ),
        (
            "verified: {healthy: {after: 5m}}",
            "1:29 DM0147 the limit ends before a system can count as good",
        ),
        (
            "verified: {healthy: {services: [web], command: 'web:x'}}\n" + SERVICES,
            "1:39 DM0147 `services` and `command` exclude each other",
        ),
        (
            "kernel: {image: 'k:1', cmdline: quiet root=/dev/sda}\nverified: true",
            (
                "1:33 DM0148 the command line has 'root=/dev/sda', "
                "which a verified system sets by itself"
            ),
        ),
        (ON + "disk: {size: 8}", "2:14 DM0102 `size` must be text, not the number 8"),
        (ON + "disk: {growth: 0x}", "2:16 DM0106 '0x' is not a valid value of `growth`"),
        (ON + "disk: {data: [{size: 1G}]}", "2:15 DM0103 `label` is missing in disk.data[0]"),
        (ON + "disk: {data: [{label: a}]}", "2:23 DM0144 the partition 'a' has no size"),
        (
            ON + "disk: {size: 9G, data: [{label: a}, {label: b}]}",
            "2:33 DM0144 the partition 'a' has no size",
        ),
        (
            ON + "disk: {data: [{label: a, size: 1G, grow: true}, {label: b, size: 1G}]}",
            "2:42 DM0144 only the last partition can grow",
        ),
        (
            ON + "disk: {data: [{label: a, size: 1G}, {label: a, size: 1G}]}",
            "2:45 DM0145 duplicate label 'a'",
        ),
        (
            ON + "disk: {data: [{label: root_1, size: 1G}]}",
            "2:23 DM0146 'root_1' is a label of the slots",
        ),
        (
            ON + "disk: {data: [{label: abcdefghijklmnopq, size: 1G}]}",
            "2:23 DM0146 the label of ext4 has at most 16 characters",
        ),
        (
            ON + "disk: {data: [{label: a, size: 1M}]}",
            "2:32 DM0144 1M is too small for ext4",
        ),
        (
            ON + "disk: {data: [{label: a, encrypt: tpm, size: 16M}]}",
            "2:46 DM0144 16M is too small for encryption",
        ),
        (
            ON + "disk: {data: [{label: a, size: 1G, type: varr}]}",
            "2:42 DM0104 there is no partition type 'varr'",
        ),
        (
            ON + "disk: {data: [{label: a, size: 1G, volume: v}]}",
            "2:44 DM0114 there is no volume 'v'",
        ),
        (
            ON + "volumes: [{name: v}]\n"
            "disk: {data: [{label: a, size: 1G, volume: v, filesystem: xfs}]}",
            "3:44 DM0146 files of a volume cannot be put into xfs",
        ),
        (
            ON
            + "volumes: [{name: v}]\ndisk: {data: [{label: a, size: 1G, volume: v, encrypt: tpm}]}",
            "3:44 DM0146 an encrypted partition is empty until the machine encrypts it",
        ),
    ],
)
def test_mistakes_have_their_place(load_text: Load, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(text)
    found = [
        f"{d.place.line}:{d.place.column} {d.code} {d.message}"
        for d in caught.value.diagnostics
        if d.place and d.severity is Severity.ERROR
    ]
    assert found == [expected]


def test_a_disk_without_verified_has_no_effect(load_text: Load) -> None:
    for text in ("disk: {growth: 2x}", "verified: false\ndisk: {growth: 2x}"):
        warnings = load_text(text).warnings
        assert [str(w.code) for w in warnings] == ["DM0128"]


def test_data_that_nothing_in_onboot_prepares_is_warned_of(load_text: Load) -> None:
    data = "disk: {data: [{label: b, size: 1G, encrypt: tpm, grow: true}]}\n"
    found = load_text(ON + data).warnings
    assert [(str(w.code), str(w.place), w.message) for w in found] == [
        (
            "DM0128",
            "a.yml:2:45",
            "`encrypt` has no effect: nothing in onboot encrypts the partition 'b'",
        ),
        (
            "DM0128",
            "a.yml:2:56",
            "`grow` has no effect: nothing in onboot grows the partition 'b'",
        ),
    ]
    # The hints are what to write.
    containers = [hint.removeprefix("add to `onboot`: ") for w in found for hint in w.hints]
    text = "onboot:\n" + "".join(f"  - {one}\n" for one in containers)
    text = text.replace("@dolmen:", "dolmen/")
    assert load_text(ON + data + text).warnings == ()
    assert len(load_text(ON + data + text.replace("=b", "=c")).warnings) == 1


def test_files_are_merged(load_text: Load) -> None:
    first = (
        "verified: {version: '1', on-corruption: panic, healthy: {after: 5s}}\n"
        "disk: {size: 8G, slots: {root: 1G}, data: [{label: a, size: 1G}]}"
    )
    second = (
        "verified: {version: '2', healthy: {limit: 9m}}\n"
        "disk: {growth: 3x, slots: {hash: 16M}, data: [{label: b, size: 1G}]}"
    )
    config = load_text(first, second).config
    assert config.verified == Verified("2", None, "panic", Healthy(None, None, "5s", "9m"))
    assert config.disk is not None
    assert config.disk == DiskSection(
        "8G",
        None,
        Slots("1G", "16M"),
        "3x",
        (DataPartition("a", size="1G"), DataPartition("b", size="1G")),
    )
    assert str(config.disk.positions.place_of("slots", "hash")) == "b.yml:2:34"
    assert str(config.disk.positions.place_of("data", 1, "label")) == "b.yml:2:55"
    assert config.verified is not None
    assert str(config.verified.positions.place_of("version")) == "b.yml:1:21"


def test_a_later_file_turns_verification_on_and_off(load_text: Load) -> None:
    one = "verified: {version: '2'}"
    assert load_text(one, "verified: true").config.verified == Verified("2")
    assert load_text(one, "verified: false").config.verified == Verified(enabled=False)
    assert load_text("verified: false", one).config.verified == Verified("2")
    assert load_text(one, "init: [x]").config.verified == Verified("2")


def test_sizes_and_durations() -> None:
    assert [parse_size(t) for t in ("1K", "2M", "3G", "1T")] == [1024, 2 << 20, 3 << 30, 1 << 40]
    assert [parse_duration(t) for t in ("9s", "5m", "2h")] == [9, 300, 7200]
