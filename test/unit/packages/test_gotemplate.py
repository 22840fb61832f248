"""Tag templates have Go's meaning, or are refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.packages.gotemplate import TemplateError, expand, unknown_fields

FIELDS = {"Hash": "abcdef0123456789"}


@pytest.mark.parametrize(
    ("template", "result"),
    [
        ("", ""),
        ("plain }} text", "plain }} text"),
        ("v1-{{.Hash}}", "v1-abcdef0123456789"),
        ("{{ .Hash }}{{.Hash}}", "abcdef0123456789" * 2),
        ("a {{- .Hash -}} b", "aabcdef0123456789b"),
        ("a {{/* a comment */}} b", "a  b"),
        ("a {{- /* a comment */ -}} b", "ab"),
        ('{{printf "%.7s" .Hash}}', "abcdef0"),
        ('{{.Hash | printf "%.7s"}}', "abcdef0"),
        ('{{.Hash | printf "%s-%.3s" "v"}}', "v-abc"),
        ('{{printf "%03d|%-4d|%4d|%%" 7 7 7}}', "007|7   |   7|%"),
        ("{{slice .Hash 0 4}}{{slice .Hash 12}}", "abcd6789"),
        ("{{len .Hash}}", "16"),
        ("{{(slice .Hash 2) | len}}", "14"),
        ('{{print "a" 1 2 "b"}}', "a1 2b"),
        ('{{"}}\\u00e4\\x41"}}{{`raw\\n`}}', "}}\u00e4Araw\\n"),
        ("{{0x10}}{{017}}{{-3}}{{true}}", "1615-3true"),
        ("{{.Nope}}", "<no value>"),
    ],
)
def test_a_template_expands_as_in_go(template: str, result: str) -> None:
    assert expand(template, FIELDS) == result


@pytest.mark.parametrize(
    "template",
    [
        "{{.Hash",
        "{{}}",
        "{{/* open",
        "{{if .Hash}}x{{end}}",
        "{{.Hash.Short}}",
        "{{.Hash .Hash}}",
        "{{.Hash | }}",
        "{{| .Hash}}",
        "{{.}}",
        "{{$x}}",
        "{{nope .Hash}}",
        "{{len .Nope}}",
        "{{slice .Hash 0 99}}",
        "{{slice .Hash -1}}",
        '{{printf "%s"}}',
        '{{printf "x" 1}}',
        '{{printf "%d" .Hash}}',
        '{{printf "%99999s" .Hash}}',
        "{{(.Hash}}",
        "{{.Hash)}}",
        '{{"\\q"}}',
        "{{99999999999999999999999}}",
    ],
)
def test_an_invalid_or_unsupported_template_is_refused(template: str) -> None:
    with pytest.raises(TemplateError):
        expand(template, FIELDS)


def test_unknown_fields_are_found() -> None:
    assert unknown_fields("{{.Hash}}{{.Nope}}{{.Other}}{{.Nope}}", FIELDS) == (".Nope", ".Other")


@given(st.text(alphabet='{}.Hash |()"`\\-/*printf%s07 \n', max_size=40))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_text_expands_or_is_refused(template: str) -> None:
    with contextlib.suppress(TemplateError):
        assert isinstance(expand(template, FIELDS), str)
