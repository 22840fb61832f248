package main

// The part of YAML in which clouds write: block and flow collections, quoted and plain scalars in
// one line, literal and folded texts. Anchors, tags and several documents are not. JSON is YAML.
// Every scalar is a text.

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

const deepestYAML = 50

// parseYAML returns maps of texts, lists and texts; nothing for an empty document.
func parseYAML(text string) (any, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("it is not UTF-8")
	}
	if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[") {
		var value any
		decoder := json.NewDecoder(strings.NewReader(trimmed))
		decoder.UseNumber()
		if decoder.Decode(&value) == nil && !decoder.More() {
			return textsOnly(value), nil
		}
	}
	p := &yamlParser{lines: strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")}
	if indent, content, ok := p.peek(); ok && indent == 0 && content == "---" {
		p.next++
	}
	if _, _, ok := p.peek(); !ok {
		return nil, p.err
	}
	value := p.block(0)
	if _, content, ok := p.peek(); ok && p.err == nil {
		p.fail("%q is not expected here", content)
	}
	return value, p.err
}

// textsOnly makes texts of numbers and truth values.
func textsOnly(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, one := range value {
			value[key] = textsOnly(one)
		}
		return value
	case []any:
		for i, one := range value {
			value[i] = textsOnly(one)
		}
		return value
	case nil, string:
		return value
	}
	return fmt.Sprint(value)
}

type yamlParser struct {
	lines []string
	next  int
	depth int
	err   error
}

func (p *yamlParser) fail(format string, values ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("line %d: "+format, append([]any{p.next + 1}, values...)...)
	}
}

// peek returns the next line that has content.
func (p *yamlParser) peek() (indent int, content string, ok bool) {
	for ; p.err == nil && p.next < len(p.lines); p.next++ {
		line := p.lines[p.next]
		content = strings.TrimSpace(withoutComment(line))
		if content == "" {
			continue
		}
		indent = len(line) - len(strings.TrimLeft(line, " "))
		if line[indent] == '\t' {
			p.fail("a tab before the content")
			return 0, "", false
		}
		return indent, content, true
	}
	return 0, "", false
}

// withoutComment cuts a comment off that is not in quotes.
func withoutComment(line string) string {
	quote := byte(0)
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote == '"' && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case (c == '"' || c == '\'') && (i == 0 || strings.IndexByte(" \t[{,:-", line[i-1]) >= 0):
			quote = c
		case c == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t'):
			return line[:i]
		}
	}
	return line
}

// block parses what begins at the next line, which has at least this indent.
func (p *yamlParser) block(least int) any {
	if p.depth++; p.depth > deepestYAML {
		p.fail("deeper than %d levels", deepestYAML)
	}
	defer func() { p.depth-- }()
	indent, content, ok := p.peek()
	if !ok || indent < least {
		return nil
	}
	if isEntry(content) {
		return p.list(indent)
	}
	if _, _, found := cutKey(content); found {
		return p.mapping(indent)
	}
	p.next++
	return p.scalar(content)
}

func isEntry(content string) bool { return content == "-" || strings.HasPrefix(content, "- ") }

func (p *yamlParser) list(indent int) any {
	list := []any{}
	for {
		at, content, ok := p.peek()
		if !ok || at != indent || !isEntry(content) {
			return list
		}
		rest := strings.TrimLeft(content[1:], " ")
		if rest == "" {
			p.next++
			list = append(list, p.block(indent+1))
			continue
		}
		if kind := blockText(rest); kind != 0 {
			p.next++
			list = append(list, p.text(indent, rest))
			continue
		}
		// The rest of the line stands as if in a line of its own.
		inner := indent + len(content) - len(rest)
		p.lines[p.next] = strings.Repeat(" ", inner) + rest
		list = append(list, p.block(inner))
	}
}

func (p *yamlParser) mapping(indent int) any {
	values := map[string]any{}
	for {
		at, content, ok := p.peek()
		if !ok || at != indent || isEntry(content) {
			return values
		}
		key, rest, found := cutKey(content)
		if !found {
			p.fail("no key in %q", content)
			return values
		}
		if _, twice := values[key]; twice {
			p.fail("the key %q is there twice", key)
			return values
		}
		p.next++
		switch {
		case rest == "":
			values[key] = nil
			if at, content, ok := p.peek(); ok && (at > indent || at == indent && isEntry(content)) {
				values[key] = p.block(at)
			}
		case blockText(rest) != 0:
			values[key] = p.text(indent, rest)
		default:
			values[key] = p.scalar(rest)
		}
	}
}

// blockText returns what a text in further lines is introduced by, or 0.
func blockText(rest string) byte {
	if (rest[0] == '|' || rest[0] == '>') && strings.Trim(rest[1:], "+-0123456789") == "" {
		return rest[0]
	}
	return 0
}

// text reads the lines that are indented further: as they are, or joined to one.
func (p *yamlParser) text(indent int, head string) string {
	var found []string
	inner := -1
	for ; p.next < len(p.lines); p.next++ {
		line := p.lines[p.next]
		at := len(line) - len(strings.TrimLeft(line, " "))
		if at == len(line) {
			found = append(found, "")
			continue
		}
		if at <= indent {
			break
		}
		if inner < 0 || at < inner {
			inner = at
		}
		found = append(found, line)
	}
	for i, line := range found {
		if line != "" {
			found[i] = line[inner:]
		}
	}
	between := "\n"
	if head[0] == '>' {
		between = " "
	}
	text := strings.Join(found, between)
	if strings.Contains(head, "+") {
		return text + "\n"
	}
	text = strings.TrimRight(text, "\n ")
	if strings.Contains(head, "-") || text == "" {
		return text
	}
	return text + "\n"
}

// cutKey divides a line at the colon behind its key.
func cutKey(content string) (key, rest string, found bool) {
	if content[0] == '"' || content[0] == '\'' {
		f := &flow{text: content}
		key, ok := f.quoted()
		rest := strings.TrimLeft(f.text[f.at:], " ")
		if !ok || !strings.HasPrefix(rest, ":") || len(rest) > 1 && rest[1] != ' ' {
			return "", "", false
		}
		return key, strings.TrimSpace(rest[1:]), true
	}
	if strings.IndexByte("[{&*!|>%@`", content[0]) >= 0 {
		return "", "", false
	}
	at := strings.Index(content, ": ")
	if at < 0 {
		if !strings.HasSuffix(content, ":") {
			return "", "", false
		}
		at = len(content) - 1
	}
	return strings.TrimSpace(content[:at]), strings.TrimSpace(content[at+1:]), true
}

// scalar parses a value in one line.
func (p *yamlParser) scalar(text string) any {
	if strings.IndexByte("\"'[{", text[0]) < 0 {
		return plain(text)
	}
	f := &flow{text: text}
	value, ok := f.value(0)
	f.spaces()
	if !ok || f.at < len(f.text) {
		p.next--
		p.fail("%q cannot be read", text)
	}
	return value
}

func plain(text string) any {
	if text == "null" || text == "~" || text == "Null" || text == "NULL" {
		return nil
	}
	return text
}

// yamlText returns a text, or nothing for what is none.
func yamlText(value any) string {
	text, _ := value.(string)
	return text
}

// yamlTexts returns the texts of a list or of a mapping, in its keys' order, or a single one.
func yamlTexts(value any) []string {
	var found []string
	switch value := value.(type) {
	case string:
		found = append(found, value)
	case []any:
		for _, one := range value {
			found = append(found, yamlTexts(one)...)
		}
	case map[string]any:
		for _, key := range sortedKeys(value) {
			found = append(found, yamlTexts(value[key])...)
		}
	}
	return found
}

func yamlTrue(value any) bool {
	text := strings.ToLower(yamlText(value))
	return text == "true" || text == "yes" || text == "on"
}
