package main

// What YAML has within one line: collections in brackets, quoted and plain texts.

import "strings"

// flow parses collections in brackets and quoted texts.
type flow struct {
	text string
	at   int
}

func (f *flow) spaces() {
	for f.at < len(f.text) && f.text[f.at] == ' ' {
		f.at++
	}
}

func (f *flow) take(c byte) bool {
	f.spaces()
	if f.at < len(f.text) && f.text[f.at] == c {
		f.at++
		return true
	}
	return false
}

func (f *flow) value(depth int) (any, bool) {
	f.spaces()
	if depth > deepestYAML || f.at == len(f.text) {
		return nil, false
	}
	switch f.text[f.at] {
	case '[':
		f.at++
		list := []any{}
		for !f.take(']') {
			one, ok := f.value(depth + 1)
			if !ok || !f.take(',') && (f.at == len(f.text) || f.text[f.at] != ']') {
				return nil, false
			}
			list = append(list, one)
		}
		return list, true
	case '{':
		f.at++
		values := map[string]any{}
		for !f.take('}') {
			key, ok := f.word(":")
			if !ok || !f.take(':') {
				return nil, false
			}
			one, ok := f.value(depth + 1)
			if !ok || !f.take(',') && (f.at == len(f.text) || f.text[f.at] != '}') {
				return nil, false
			}
			values[key] = one
		}
		return values, true
	case '"', '\'':
		return f.anyQuoted()
	}
	word, ok := f.word("")
	return plain(word), ok
}

func (f *flow) anyQuoted() (any, bool) {
	text, ok := f.quoted()
	return text, ok
}

// word reads a plain text, up to a comma or a bracket, or one of the other ends.
func (f *flow) word(ends string) (string, bool) {
	f.spaces()
	if f.at < len(f.text) && (f.text[f.at] == '"' || f.text[f.at] == '\'') {
		return f.quoted()
	}
	from := f.at
	for f.at < len(f.text) && strings.IndexByte(",[]{}"+ends, f.text[f.at]) < 0 {
		f.at++
	}
	word := strings.TrimSpace(f.text[from:f.at])
	return word, word != ""
}

var yamlEscapes = map[byte]string{
	'n': "\n", 't': "\t", 'r': "\r", '0': "\x00", '"': "\"", '\\': "\\", '/': "/", ' ': " ",
}

func (f *flow) quoted() (string, bool) {
	quote := f.text[f.at]
	var found strings.Builder
	for f.at++; f.at < len(f.text); f.at++ {
		c := f.text[f.at]
		switch {
		case c == quote && quote == '\'' && f.at+1 < len(f.text) && f.text[f.at+1] == quote:
			f.at++
			found.WriteByte(c)
		case c == quote:
			f.at++
			return found.String(), true
		case c == '\\' && quote == '"':
			f.at++
			if f.at == len(f.text) {
				return "", false
			}
			escaped, known := yamlEscapes[f.text[f.at]]
			if !known {
				return "", false
			}
			found.WriteString(escaped)
		default:
			found.WriteByte(c)
		}
	}
	return "", false
}
