package main

import (
	"strings"
	"testing"
)

func FuzzRules(f *testing.F) {
	f.Add("2375:unix:/run/docker.sock")
	f.Add("0x10:tcp:[::1]:80")
	f.Add("4294967295:unix:/x")
	f.Fuzz(func(t *testing.T, text string) {
		var all rules
		if all.Set(text) != nil {
			return
		}
		if one := all[0]; one.port == anyPort || (one.network == "unix") != strings.HasPrefix(one.address, "/") {
			t.Errorf("%q became %+v", text, one)
		}
		// What is printed is read as the same rule, which is refused the second time.
		var again rules
		if err := again.Set(all[0].String()); err != nil || again[0] != all[0] || again.Set(text) == nil {
			t.Errorf("%q: %v, %v", text, again, err)
		}
	})
}
