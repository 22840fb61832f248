package main

// The patterns of module aliases: fnmatch with *, ? and classes, where / is nothing special.

// matches tells whether the whole text is as the pattern says.
func matches(pattern, text string) bool {
	// Where to go on after a mismatch: the last star, and how much it stands for.
	star, mark := -1, 0
	p, t := 0, 0
	for t < len(text) {
		if p < len(pattern) {
			if pattern[p] == '*' {
				star, mark = p, t
				p++
				continue
			}
			if length := matchOne(pattern[p:], text[t]); length > 0 {
				p += length
				t++
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, t = star+1, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches one character and returns how long that part of the pattern is, or 0.
func matchOne(pattern string, c byte) int {
	switch pattern[0] {
	case '?':
		return 1
	case '[':
		return matchClass(pattern, c)
	default:
		if pattern[0] == c {
			return 1
		}
		return 0
	}
}

func matchClass(pattern string, c byte) int {
	i := 1
	negated := i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^')
	if negated {
		i++
	}
	found := false
	for start := i; i < len(pattern); i++ {
		if pattern[i] == ']' && i > start {
			if found != negated {
				return i + 1
			}
			return 0
		}
		low, high := pattern[i], pattern[i]
		if i+2 < len(pattern) && pattern[i+1] == '-' && pattern[i+2] != ']' {
			high = pattern[i+2]
			i += 2
		}
		found = found || (low <= c && c <= high)
	}
	return 0
}
