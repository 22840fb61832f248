"""Paths, modules, commands, options, codes and links that do not exist are found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Sandbox


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("See `assembler/gone.py`.", "1:6: assembler/gone.py does not exist"),
        ("See\n`docs/gone/`", "2:2: docs/gone does not exist"),
        ("See `oci/gone.py`", "1:6: oci/gone.py does not exist"),
        ("See `gone.py`", "1:6: gone.py does not exist"),
        ("See `assembler/oci/s{tore,ack}.py`", "1:6: assembler/oci/s{tore,ack}.py does not exist"),
        ("See `assembler/*.py`", "1:6: assembler/*.py does not exist"),
        ("```sh\npython docs/gone.py\n```", "2:8: docs/gone.py does not exist"),
        ("See `assembler.gone`", "1:6: assembler.gone does not exist"),
        ("See `assembler.oci.store.Shop`", "1:6: assembler.oci.store.Shop does not exist"),
        (
            "See `assembler.oci.store.Store.weight`",
            "1:6: assembler.oci.store.Store.weight does not exist",
        ),
        ("See `dolmen.gone`", "1:6: dolmen.gone does not exist"),
        ("DM0999 tells.", "1:1: there is no code DM0999"),
        ("Do `dolmen cook`.", "1:12: `dolmen` has no command cook"),
        ("Do `dolmen\ncook`.", "2:1: `dolmen` has no command cook"),
        ("Do `dolmen --cache DIR cook`.", "1:24: `dolmen` has no command cook"),
        ("Do `dolmen cache cook`.", "1:18: `dolmen cache` has no command cook"),
        ("Do `dolmen build --fast`.", "1:18: `dolmen build` has no option --fast"),
        ("Do `dolmen run x.yml --fast`.", "1:22: `dolmen run qemu` has no option --fast"),
        ("Do `cache push --fast`.", "1:16: `dolmen cache push` has no option --fast"),
        ("Give `--fast`.", "1:7: no command has an option --fast"),
        ("```\n$ X=1 dolmen build \\\n    --fast\n```", "3:5: `dolmen build` has no option --fast"),
        ("```\ncat x | dolmen cook\n```", "2:16: `dolmen` has no command cook"),
        ("[x](gone.md)", "1:5: the link gone.md leads nowhere"),
        ("[x](../gone.md)", "1:5: the link ../gone.md leads nowhere"),
        ("[x]: gone.md", "1:6: the link gone.md leads nowhere"),
        ("[x](store.md#gone)", "1:5: docs/store.md has no heading #gone"),
        ("# Here\n[x](#there)", "2:5: docs/text.md has no heading #there"),
    ],
)
def test_what_does_not_exist_is_found_in_documents(tree: Sandbox, text: str, finding: str) -> None:
    assert tree.found_in("docs/text.md", text) == [finding]


@pytest.mark.parametrize(
    "text",
    [
        "`assembler/oci/store.py`, `assembler/oci/`, `assembler/*/store.py`, `assembler/…`",
        "`oci/store.py`, `store.py`, `assembler/oci/NAME.py`, `./docs/store.md`, `st*.py`",
        "`assembler.oci.store.Store.size`, `assembler.oci`, `dolmen.onboot=stop`",
        "`/usr/lib/pkg/gone`, `~/docs/gone`, `out/gone`, `example.com/pkg/gone`, `pkg/web`",
        "`bench/work/gone`, `test/made-of-words`: these come and go",
        "`dolmen COMMAND --help`, `dolmen build -o x --offline`, `dolmen -v cache push --all`",
        "`dolmen build -offline`, `dolmen -vv build`, `dolmen build -- --fast`, `dolmen …`",
        "`dolmen run --help`, `dolmen run x.yml --mem 1`, `dolmen ssh web -L 1`, `--size`",
        "`RUN --mount`, `--mount`, `skopeo --fast`, `git push --fast`",
        "```\n# dolmen does what it can\ndolmen build x # --fast is not there\ndolmen: no\n```",
        "```\nwhere dolmen cook\n```",
        "DM0104, DM01040, XDM0999",
        "[a](store.md) [b](store.md#where-it-is) [c](https://x.org/gone) [g](../docs)",
        "# `E`: f\n# E f\n## E, f\n[x](#e-f-1) [y](#e-f)",
        "`[x](gone.md)`\n\n```\n[x](gone.md)\n# heading\n```\n",
        "`docs/gone.md` <!-- names: ok -->",
        "<!-- names: ok, from another repository -->\n```\ndocs/gone.md\n\ndolmen cook\n```",
    ],
)
def test_what_exists_or_is_elsewhere_is_left_alone(tree: Sandbox, text: str) -> None:
    tree.write(".gitignore", "bench/work/\n*-words\n")
    tree.write("pkg/init/main.go", 'const word = "dolmen.onboot"\n')
    tree.write("pkg/swap/swap.sh", "--size)\n")
    assert tree.found_in("docs/text.md", text) == []


@pytest.mark.parametrize("path", ["README.md", "pkg/init/README.md", "docs/deep/down/text.md"])
def test_every_document_is_read(tree: Sandbox, path: str) -> None:
    assert tree.found_in(path, "`docs/gone.md`\n") == ["1:2: docs/gone.md does not exist"]


def test_an_excuse_holds_for_its_line_only(tree: Sandbox) -> None:
    text = "`docs/gone.md` <!-- names: ok -->\n`docs/gone.md` <!-- words: ok -->\n"
    assert tree.found_in("docs/text.md", text) == ["2:2: docs/gone.md does not exist"]


def test_names_in_python_are_checked_where_they_are_quoted(tree: Sandbox) -> None:
    found = tree.found_in(
        "cmd/dolmen/text.py",
        '''
        """Reads `docs/gone.md` and `docs/store.md`; docs/none.md is not in backticks."""

        # Since `assembler.gone`, and `assembler.oci.store`,
        # and `dolmen
        # cook`.
        x = "`docs/gone.md`"
        HINT = f"{x} `dolmen build --fast` … `docs/{x}.md` `--{x}` `--fast`"
        KEY = "`dolmen cook`"  # names: ok
        ''',
    )
    assert found == [
        "2:11: docs/gone.md does not exist",
        "4:10: assembler.gone does not exist",
        "6:3: `dolmen` has no command cook",
        "8:28: `dolmen build` has no option --fast",
        "8:61: no command has an option --fast",
    ]


def test_nothing_is_found_twice_and_all_is_in_order(tree: Sandbox) -> None:
    tree.write("docs/b.md", "`docs/gone.md` `docs/gone.md`\n")
    tree.write("docs/a.md", "\n`docs/gone.md`\n")
    assert tree.found() == [
        "docs/a.md:2:2: docs/gone.md does not exist",
        "docs/b.md:1:2: docs/gone.md does not exist",
        "docs/b.md:1:17: docs/gone.md does not exist",
    ]
