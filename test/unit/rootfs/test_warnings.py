"""What is doubtful for several containers is told once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import rootfs
from support.systems import loaded, planned

if TYPE_CHECKING:
    from assembler.diagnostics import Diagnostic
    from assembler.oci.store import Store


def warnings_of(store: Store, *services: str) -> tuple[Diagnostic, ...]:
    return planned(loaded(f"services: [{', '.join(services)}]"), store).warnings


def test_a_warning_for_one_container_has_its_name(store: Store) -> None:
    (warning,) = warnings_of(store, "{name: a, image: 'example/nocmd:1'}")
    assert warning.message == "'a' has no command, it cannot start"


def test_a_warning_for_several_containers_is_shown_once(store: Store) -> None:
    names = [f"n{number}" for number in range(9)]
    for count, listed in ((2, "'n0' and 'n1'"), (6, "'n0', 'n1', 'n2', 'n3', 'n4' and 'n5'")):
        (warning,) = warnings_of(
            store, *(f"{{name: {n}, image: 'example/nocmd:1'}}" for n in names[:count])
        )
        assert warning.message == f"{listed} have no command, they cannot start"
        assert warning.place is not None
    (warning,) = warnings_of(store, *(f"{{name: {n}, image: 'example/nocmd:1'}}" for n in names))
    assert "'n4' and 4 more have no command" in warning.message


def test_other_images_get_their_own_warnings(store: Store) -> None:
    asks = "{{name: {0}, image: 'example/plain:1'}}"
    warnings = warnings_of(
        store, asks.format("a"), "{name: x, image: 'example/nocmd:1'}", asks.format("b")
    )
    assert [w.code for w in warnings] == [rootfs.USER_IGNORED, rootfs.NO_COMMAND]
    assert warnings[0].message.startswith("'a' and 'b' run as root, though the image docker.io/")
    assert warnings[0].hints == ("to run it as the image specifies, write uid: 1000, gid: 1001",)


def test_a_warning_for_a_label_is_shown_once(store: Store) -> None:
    names = ("a", "b", "c")
    (warning,) = warnings_of(
        store, *(f"{{name: {n}, image: 'example/lab-vol:1', command: [x]}}" for n in names)
    )
    assert warning.message.startswith("'a', 'b' and 'c' bind 'scratch', which is not a volume")
    assert len(warning.remarks) == 1
