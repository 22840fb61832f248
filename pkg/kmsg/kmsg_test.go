package main

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
)

func TestRecordsAreShownAsDmesgDoes(t *testing.T) {
	for given, wanted := range map[string]string{
		"6,339,5140900,-;NET: Registered PF_INET6\n":                   "kern  :info  : [    5.140900] NET: Registered PF_INET6",
		"3,1,12345678901,c,caller=T1;bad\n SUBSYSTEM=block\n DEVICE=b": "kern  :err   : [12345.678901] bad",
		"14,2,7,-;of a program; with a semicolon\n":                    "user  :info  : [    0.000007] of a program; with a semicolon",
		"204,2,7,-;strange\n":                                          "25    :warn  : [    0.000007] strange",
	} {
		found, ok := parse([]byte(given))
		if !ok || found.String() != wanted {
			t.Errorf("%q: %q, not %q", given, found, wanted)
		}
	}
}

func TestWhatIsNoRecordIsLeftOut(t *testing.T) {
	for _, given := range []string{"", "6,339,5140900,- no text", "x,1,2,-;a", "6,1;a", "-6,1,2,-;a", "6,1,-2,-;a"} {
		if found, ok := parse([]byte(given)); ok {
			t.Errorf("%q: %q", given, found)
		}
	}
}

// reads gives a piece or an error at each read, as the device does.
type reads []any

func (r *reads) Read(buffer []byte) (int, error) {
	if len(*r) == 0 {
		return 0, io.EOF
	}
	one := (*r)[0]
	*r = (*r)[1:]
	if err, ok := one.(error); ok {
		return 0, err
	}
	return copy(buffer, one.(string)), nil
}

func TestLostMessagesAreNoEndAndThoseOfInitAreLeftOut(t *testing.T) {
	var output strings.Builder
	err := follow(&reads{"6,1,1,-;a\n", syscall.EPIPE, "15,8,1,-;init: kmsg: a\n", "6,9,1,-;b\n"}, &output)
	wanted := "kern  :info  : [    0.000001] a\nkmsg: messages were lost\nkern  :info  : [    0.000001] b\n"
	if err != nil || output.String() != wanted {
		t.Errorf("%v: %q", err, output.String())
	}
	broken := errors.New("broken")
	if err := follow(&reads{broken}, io.Discard); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("6,339,5140900,-;NET: Registered\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if found, ok := parse(data); ok && strings.Contains(found.text, "\n") {
			t.Errorf("%q has several lines: %q", data, found.text)
		}
	})
}
