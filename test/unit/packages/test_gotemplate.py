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
        ("{{if .Hash}}x{{end}}y", "xy"),
        ("{{if .Nope}}x{{else}}y{{end}}", "y"),
        ('{{if eq .Hash "x"}}1{{else if eq .Hash "abcdef0123456789"}}2{{else}}3{{end}}', "2"),
        ('{{if eq .Hash "x" "abcdef0123456789"}}either{{end}}', "either"),
        ("{{if and .Hash (not .Nope)}}v-{{slice .Hash 0 3}}{{end}}", "v-abc"),
        ('{{or .Nope "default"}}{{and .Hash "last"}}', "defaultlast"),
        ("{{with .Hash}}{{.}}{{else}}none{{end}}", "abcdef0123456789"),
        ("{{with .Nope}}{{.}}{{else with .Hash}}{{slice . 0 2}}{{end}}", "ab"),
        ("{{with slice .Hash 0 2}}{{.}}-{{len $.Hash}}{{end}}", "ab-16"),
        ("{{range 3}}{{.}},{{end}}{{range 0}}x{{else}}none{{end}}", "0,1,2,none"),
        ("{{range $i := 5}}{{if eq $i 1}}{{continue}}{{end}}{{$i}}{{end}}", "0234"),
        ("{{range 5}}{{if gt . 2}}{{break}}{{end}}{{.}}{{end}}", "012"),
        ('{{$x := slice .Hash 0 2}}{{if true}}{{$x = "new"}}{{$y := 1}}{{end}}{{$x}}', "new"),
        (
            "{{if le 1 1}}{{if lt 1 2}}{{if ge 2 1}}{{if ne 1 2}}all{{end}}{{end}}{{end}}{{end}}",
            "all",
        ),
        ("{{range 3}}a{{if true}}b{{break}}{{end}}c{{end}}d", "abd"),
        ("a {{- if .Hash -}} b {{- end -}} c", "abc"),
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
        "{{if .Hash}}x",
        "{{if}}x{{end}}",
        "{{end}}",
        "{{else}}",
        "{{if .Hash}}x{{else}}y{{else}}z{{end}}",
        "{{if .Nope}}{{nope}}{{end}}",
        "{{if true}}{{$y := 1}}{{end}}{{$y}}",
        "{{with .Hash}}{{.Hash}}{{end}}",
        "{{range .Hash}}{{.}}{{end}}",
        "{{range 999999}}x{{end}}",
        "{{range 100}}{{range 100}}x{{end}}{{end}}",
        "{{break}}",
        '{{define "x"}}{{end}}',
        "{{$x = 1}}",
        "{{eq .Hash 1}}",
        "{{lt true false}}",
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
