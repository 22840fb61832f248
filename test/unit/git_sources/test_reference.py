"""References `@git:URL#REF:DIR`: what is accepted, and what is refused."""

from __future__ import annotations

import pytest

from assembler.errors import PackageError
from assembler.git_sources import GitReference


@pytest.mark.parametrize(
    ("text", "url", "ref", "directory"),
    [
        ("https://h.org/r.git#main:pkg/x", "https://h.org/r.git", "main", "pkg/x"),
        ("https://u@h.org:8443/r#v1/x:./a//b/", "https://u@h.org:8443/r", "v1/x", "a/b"),
        ("ssh://git@h.org/r#refs/tags/v1", "ssh://git@h.org/r", "refs/tags/v1", ""),
        ("git://h.org/r#HEAD:.", "git://h.org/r", "HEAD", ""),
        ("file:///a/b#main:a:b", "file:///a/b", "main", "a:b"),
        ("http://127.0.0.1:80/r#main:a", "http://127.0.0.1:80/r", "main", "a"),
        ("http://[::1]/r#main:-a", "http://[::1]/r", "main", "-a"),
    ],
)
def test_the_parts(text: str, url: str, ref: str, directory: str) -> None:
    found = GitReference.parse("@git:" + text)
    assert (found.url, found.ref, found.directory) == (url, ref, directory)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no URL"),
        ("#main:x", "has no URL"),
        ("https://h/r", "no branch, tag or commit"),
        ("https://h/r#:x", "no branch, tag or commit"),
        ("http://h.org/r#main", "with http, anyone"),
        ("ftp://h.org/r#main", "cannot be fetched by ftp:"),
        ("ext::sh -c x#main", "blank or a control character"),
        ("ext::sh#main", "ext:: starts a program"),
        ("fd::1#main", "fd:: starts a program"),
        ("git@h.org:a/r.git#main", "is not a URL"),
        ("../r#main", "is not a URL"),
        ("--upload-pack=x#main", "is not a URL"),
        ("-c#main", "is not a URL"),
        ("https://u:p@h.org/r#main", "password"),
        ("https://h.org/r?x=1#main", "no query"),
        ("ssh://-oProxyCommand=x/r#main", "no valid host"),
        ("ssh://-l@h.org/r#main", "no valid host"),
        ("https:///r#main", "no valid host"),
        ("https://h.org:x/r#main", "is not a URL"),
        ("file://h.org/r#main", "no absolute path"),
        ("file:r#main", "no absolute path"),
        ("HTTPS://h.org/r#main", "not in lower case"),
        ("https://h.org/\ud800#main", "a control character"),
        ("https://h.org/r#\ud800", "not the name of a branch"),
        ("https://h.org/r#--exec=x:d", "not the name of a branch"),
        ("https://h.org/r#a..b:d", "not the name of a branch"),
        ("https://h.org/r#a b:d", "not the name of a branch"),
        ("https://h.org/r#a*:d", "not the name of a branch"),
        ("https://h.org/r#a.lock:d", "not the name of a branch"),
        ("https://h.org/r#main:../d", "not a directory inside"),
        ("https://h.org/r#main:a/../../d", "not a directory inside"),
        ("https://h.org/r#main:/d", "not a directory inside"),
        ("https://h.org/" + "r" * 3000, "longer than"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(PackageError, match=r"DM0760") as caught:
        GitReference.parse("@git:" + text)
    assert reason in str(caught.value)


def test_the_hint_for_the_short_form_of_ssh() -> None:
    with pytest.raises(PackageError) as caught:
        GitReference.parse("@git:git@h.org:a/r.git#main")
    assert "write ssh://git@h.org/a/r.git" in str(caught.value)
