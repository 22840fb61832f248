"""The file `copyright` names the holders and the licence of each library."""

from __future__ import annotations

import pytest

from release.copyright_file import copyright_file
from release.environment import Library

MIT_TEXT = "MIT License\n\nCopyright (c) 2020 Some One\n\nPermission is granted.\n"
APACHE_TEXT = "Apache License\nVersion 2.0, January 2004\n   Copyright 2016 Docker, Inc.\n"


def library(name: str, metadata: str, *texts: str) -> Library:
    return Library(name, "1", metadata, (f"{name}.py",), texts)


def paragraph(text: str, name: str) -> list[str]:
    begin = f"Files: usr/lib/dolmen/site-packages/{name}*\n"
    (found,) = [p for p in text.split("\n\n") if p.startswith(begin)]
    return found.splitlines()


def test_a_licence_that_debian_has_not_is_quoted() -> None:
    text = copyright_file((library("one", "License-Expression: MIT\n", MIT_TEXT),))
    assert paragraph(text, "one") == [
        "Files: usr/lib/dolmen/site-packages/one*",
        "Copyright: 2020 Some One",
        "License: Expat",
        " MIT License",
        " .",
        " Copyright (c) 2020 Some One",
        " .",
        " Permission is granted.",
    ]


def test_a_licence_that_debian_has_is_named() -> None:
    text = copyright_file((library("two", "License: Apache-2.0\n", APACHE_TEXT),))
    lines = paragraph(text, "two")
    assert lines[1:] == ["Copyright: 2016 Docker, Inc", "License: Apache-2.0"]
    assert "\nLicense: Apache-2.0\n The text of this licence is in /usr/share/common" in text


def test_of_two_licences_only_the_text_that_debian_has_not_is_quoted() -> None:
    metadata = "License-Expression: Apache-2.0 OR MIT\n"
    lines = paragraph(copyright_file((library("three", metadata, APACHE_TEXT, MIT_TEXT),)), "three")
    assert "License: Apache-2.0 or Expat" in lines
    assert " MIT License" in lines
    assert " Apache License" not in lines


def test_without_a_holder_in_its_licence_a_library_has_its_author() -> None:
    metadata = "License-Expression: GPL-2.0-or-later\nAuthor: Some\n  One\n"
    text = copyright_file((library("four", metadata),))
    assert paragraph(text, "four")[1:] == ["Copyright: Some One", "License: GPL-2+"]


def test_a_library_without_a_licence_is_an_error() -> None:
    with pytest.raises(ValueError, match="the licence of five is not known"):
        copyright_file((library("five", "Name: five\n"),))
