package main

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestOptionsOfTheCommandLine(t *testing.T) {
	for line, want := range map[string]options{
		"console=ttyS0 quiet":                      {},
		"dolmen.onboot=stop":                       {stopOnFailure: true},
		"dolmen.onboot=continue":                   {},
		"linuxkit.runc_console=1":                  {showOutput: true},
		"dolmen.output=console dolmen.debug":       {showOutput: true, debug: true},
		"linuxkit.runc_debug=1 linuxkit.other=1":   {debug: true},
		"linuxkit.runc_debug=0":                    {},
		"dolmen.runtime=runc dolmen.hostname=a.b":  {runtime: "runc", hostname: "a.b"},
		"linuxkit.unified_cgroup_hierarchy=0\n":    {oldCgroups: true},
		"linuxkit.unified_cgroup_hierarchy=1 root": {},
	} {
		if got := parseOptions(line); got != want {
			t.Errorf("%q: %+v", line, got)
		}
	}
	if !hasOption("a panic=-1 b", "panic") || hasOption("nopanic=1", "panic") {
		t.Error("panic= is not found, or found where it is not")
	}
}

func TestPatternsOfAliases(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"virtio:d00000001v*", "virtio:d00000001v00001AF4", true},
		{"virtio:d00000001v*", "virtio:d00000002v00001AF4", false},
		{"pci:v*d*sv*sd*bc01sc06i01*", "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01", true},
		{"acpi*:LNXPWRBN:*", "acpi:LNXPWRBN:", true},
		{"of:N*T*Cfoo,a/b", "of:NxTyCfoo,a/b", true},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"[a-c]x", "bx", true},
		{"[!a-c]x", "bx", false},
		{"[a", "a", false},
		{"*", "", true},
		{"", "", true},
		{"a*b*c", "aXbYbZc", true},
		{"a*b*c", "aXbYbZ", false},
	} {
		if got := matches(c.pattern, c.text); got != c.want {
			t.Errorf("%q %q: %v", c.pattern, c.text, got)
		}
	}
}

func moduleTree(t *testing.T) *moduleIndex {
	directory := t.TempDir()
	write(t, directory+"/modules.dep", "kernel/net/virtio_net.ko.xz: kernel/net/net_failover.ko.xz kernel/net/failover.ko.xz\n"+
		"kernel/net/net_failover.ko.xz: kernel/net/failover.ko.xz\nkernel/net/failover.ko.xz:\nkernel/fs/crc-x.ko:\n")
	write(t, directory+"/modules.alias", "# a comment\nalias virtio:d00000001v* virtio_net\nalias fs-over crc_x\nalias *odd* crc-x\n")
	write(t, directory+"/modules.softdep", "softdep virtio_net pre: crc-x post: failover\n")
	write(t, directory+"/modules.builtin", "kernel/fs/ext4.ko\n")
	return readModules(directory)
}

func TestModulesAreFound(t *testing.T) {
	index := moduleTree(t)
	for text, want := range map[string][]string{
		"virtio:d00000001v00001AF4": {"virtio_net"},
		"virtio-net":                {"virtio_net"},
		"crc_x":                     {"crc_x"},
		"fs-over":                   {"crc_x"},
		"verryodd:x":                {"crc_x"},
		"ext4":                      {"ext4"},
		"nothing":                   nil,
	} {
		if got := index.named(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v", text, got)
		}
	}
	if got := index.needs["virtio_net"]; !reflect.DeepEqual(got, []string{"net_failover", "failover"}) {
		t.Errorf("needs: %v", got)
	}
	if got := index.softNeeds["virtio_net"]; !reflect.DeepEqual(got, []string{"crc_x"}) {
		t.Errorf("soft needs: %v", got)
	}
	if err := index.load("ext4", ""); err != nil {
		t.Errorf("what is built in needs no loading: %v", err)
	}
	if err := index.load("nothing", ""); err != errNoModule {
		t.Errorf("an unknown module: %v", err)
	}
}

func TestOptionsOfMounts(t *testing.T) {
	m := mountSpec{Options: []string{"rw", "nosuid", "rbind", "rshared", "size=1m", "mode=755", "noexec"}}
	flags, propagation, data := m.parse()
	if flags != syscall.MS_NOSUID|syscall.MS_BIND|syscall.MS_REC|syscall.MS_NOEXEC {
		t.Errorf("flags %x", flags)
	}
	if propagation != syscall.MS_SHARED|syscall.MS_REC || data != "size=1m,mode=755" {
		t.Errorf("propagation %x, data %q", propagation, data)
	}
}

func TestMountsOutsideABundleAreMadeOnce(t *testing.T) {
	count := map[string]int{}
	there := map[string]bool{}
	lasting := newLastingMounts(func(m mountSpec) error {
		count[m.Destination]++
		there[m.Destination] = true
		return nil
	}, func(path string) bool { return there[path] })
	b := bundle{"services", "web", "/containers/services/web"}
	mounts := []mountSpec{{Destination: b.directory + "/rootfs", Type: "overlay"}, {Destination: "/var/data", Type: "tmpfs"},
		{Destination: "/var/data", Options: []string{"remount", "ro"}}}
	for _, want := range []map[string]int{
		{b.directory + "/rootfs": 1, "/var/data": 2}, {b.directory + "/rootfs": 2, "/var/data": 2},
	} {
		if err := lasting.mountAll(b, mounts); err != nil || !reflect.DeepEqual(count, want) {
			t.Errorf("%v, %v", err, count)
		}
	}
	// What was unmounted meanwhile is mounted.
	there["/var/data"] = false
	if err := lasting.mountAll(b, mounts[1:2]); err != nil || count["/var/data"] != 3 {
		t.Errorf("%v, %v", err, count)
	}
	table := "22 1 0:21 / /proc rw - proc proc rw\n23 1 0:22 / /var/my\\040disk rw shared:1 - tmpfs tmpfs rw\n"
	if !isMountPoint(table, "/var/my disk/") || isMountPoint(table, "/var") {
		t.Error("a mount point is not found, or another one is")
	}
}

func TestVolumes(t *testing.T) {
	base := t.TempDir()
	for _, path := range []string{"data/lower", "data/tmp", "data/merged", "image/lower", "image/merged", "other/lower"} {
		if err := os.MkdirAll(filepath.Join(base, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	data := volumeMounts(base + "/data")
	if len(data) != 2 || data[0].Type != "tmpfs" || data[1].Destination != base+"/data/merged" ||
		!strings.HasPrefix(data[1].Options[0], "lowerdir="+base+"/data/lower") {
		t.Errorf("%+v", data)
	}
	image := volumeMounts(base + "/image")
	if len(image) != 1 || !reflect.DeepEqual(image[0].Options, []string{"bind", "ro"}) {
		t.Errorf("%+v", image)
	}
	if volumeMounts(base+"/other") != nil || volumeMounts(base+"/none") != nil {
		t.Error("what is no volume is mounted")
	}
}

func TestBundles(t *testing.T) {
	base := t.TempDir()
	write(t, base+"/onboot/001-b/config.json", "{}")
	write(t, base+"/onboot/000-z-last/config.json", "{}")
	write(t, base+"/services/000-web/config.json", "{}")
	write(t, base+"/onboot/stray", "")
	found := bundlesIn(base, "onboot")
	if len(found) != 2 || found[0].name != "z-last" || found[1].id() != "onboot-001-b" {
		t.Errorf("%+v", found)
	}
	services := bundlesIn(base, "services")
	if len(services) != 1 || services[0].name != "000-web" || services[0].id() != "000-web" {
		t.Errorf("%+v", services)
	}
	if bundlesIn(base, "onshutdown") != nil {
		t.Error("there are none")
	}
}

func TestDocumentsOfABundle(t *testing.T) {
	b := bundle{"services", "web", t.TempDir()}
	if _, err := b.containerSpec(); err == nil {
		t.Error("a bundle without config.json")
	}
	write(t, b.directory+"/config.json", `{"process": {}}`)
	if _, err := b.containerSpec(); err == nil || !strings.Contains(err.Error(), "no command") {
		t.Errorf("without a command: %v", err)
	}
	write(t, b.directory+"/config.json", `{"process": {"args": ["/x"]}, "annotations": {"dolmen.stop-timeout": "3s", "dolmen.restart": "always"}}`)
	config, err := b.containerSpec()
	if err != nil || config.stopTimeout(time.Minute) != 3*time.Second || !config.restarts(false) {
		t.Errorf("%+v %v", config, err)
	}
	if spec, err := b.runtimeSpec(); err != nil || spec.Mounts != nil {
		t.Errorf("without runtime.json: %v", err)
	}
	write(t, b.directory+"/runtime.json", `{"mkdir": ["/a"], "interfaces": [{"name": "v0", "peer": "v1", "createInRoot": false}], "bindNS": {"net": "/run/n", "pid": ""}}`)
	spec, err := b.runtimeSpec()
	if err != nil || spec.Interfaces[0].kind() != "veth" || spec.BindNS["net"] != "/run/n" {
		t.Errorf("%+v %v", spec, err)
	}
	write(t, b.directory+"/runtime.json", `{"mkdir": 5}`)
	if _, err := b.runtimeSpec(); err == nil || !strings.Contains(err.Error(), "runtime.json") {
		t.Errorf("a broken runtime.json: %v", err)
	}
}

func TestWhenServicesRestart(t *testing.T) {
	for _, c := range []struct {
		value  string
		failed bool
		want   bool
	}{{"", true, true}, {"", false, false}, {"always", false, true}, {"never", true, false}, {"on-failure", true, true}} {
		config := containerSpec{Annotations: map[string]string{restartKey: c.value}}
		if got := config.restarts(c.failed); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if (containerSpec{Annotations: map[string]string{stopTimeoutKey: "soon"}}).stopTimeout(time.Second) != time.Second {
		t.Error("a timeout that is none is not ignored")
	}
	pause := shortestPause
	for i := 0; i < 10; i++ {
		pause = nextPause(pause)
	}
	if pause != longestPause {
		t.Errorf("pause %s", pause)
	}
}

func TestLogsRotateAndKeepTheLastLines(t *testing.T) {
	path := t.TempDir() + "/web.log"
	log := newLog(path, "")
	writing, done, err := log.attach()
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 1023) + "\n"
	for i := 0; i < 1500; i++ {
		if _, err := writing.WriteString(line); err != nil {
			t.Fatal(err)
		}
	}
	writing.WriteString("the end\x1b[2J without a line end")
	writing.Close()
	<-done
	older, _ := os.Stat(path + ".1")
	newer, _ := os.Stat(path)
	if older == nil || newer == nil || older.Size() != largestLog || newer.Size() > largestLog {
		t.Errorf("%v %v", older, newer)
	}
	if tail := log.tail(); strings.Count(tail, "\n") != lastLines || !strings.HasSuffix(tail, "without a line end") {
		t.Errorf("tail %q", tail)
	}
	if got := printable("a\x1b[2J\tb\nc\u009b"); got != "a[2J\tb\nc" {
		t.Errorf("%q", got)
	}
}

func TestALogThatCannotBeWrittenIsNoObstacle(t *testing.T) {
	log := newLog(t.TempDir()+"/missing/web.log", "")
	log.drain(strings.NewReader("one\ntwo\n"))
	if log.tail() != "\n    | one\n    | two" {
		t.Errorf("%q", log.tail())
	}
}

func TestMessagesForNetlink(t *testing.T) {
	got := newInterface("v0", "veth", "v1")
	if int(order.Uint32(got)) != len(got) || len(got)%4 != 0 {
		t.Errorf("length %d in the header, %d in fact", order.Uint32(got), len(got))
	}
	for _, part := range []string{"76657468", "763000", "763100"} {
		if !strings.Contains(hex.EncodeToString(got), part) {
			t.Errorf("%s is not in %x", part, got)
		}
	}
	plain := attribute(attributeName, text("eth"))
	if !bytes.Equal(plain, []byte{8, 0, 3, 0, 'e', 't', 'h', 0}) {
		t.Errorf("%v", plain)
	}
}

func TestEventsOfTheKernel(t *testing.T) {
	got := parseUevent([]byte("add@/devices/x\x00ACTION=add\x00MODALIAS=virtio:d1v2\x00DEVNAME=input/event3\x00"))
	if got["ACTION"] != "add" || got["MODALIAS"] != "virtio:d1v2" || got["DEVNAME"] != "input/event3" {
		t.Errorf("%v", got)
	}
}

func TestTheLastMountIsUnmountedFirst(t *testing.T) {
	got := unmountOrder("rootfs / rootfs rw 0 0\nproc /proc proc rw 0 0\ntmpfs /run tmpfs rw 0 0\n/dev/vda /var/my\\040disk ext4 rw 0 0\n")
	if !reflect.DeepEqual(got, []string{"/var/my disk", "/run"}) {
		t.Errorf("%v", got)
	}
}

func TestTreesAreCopied(t *testing.T) {
	source, target := t.TempDir(), t.TempDir()
	write(t, source+"/a/b", "content")
	if err := os.Chmod(source+"/a/b", 0o751); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("b", source+"/a/link"); err != nil {
		t.Fatal(err)
	}
	if err := copyTree(source, target); err != nil {
		t.Skipf("owners cannot be kept here: %v", err)
	}
	found, err := os.Stat(target + "/a/link")
	if err != nil || found.Mode().Perm() != 0o751 {
		t.Errorf("%v %v", found, err)
	}
}

func TestProgramsAreWaitedFor(t *testing.T) {
	r := newReaper()
	go r.run()
	if err := r.runProgram([]string{"/bin/sh", "-c", "exit 0"}, nil); err != nil {
		t.Error(err)
	}
	if err := r.runProgram([]string{"/bin/sh", "-c", "exit 3"}, nil); err == nil || err.Error() != "exit status 3" {
		t.Errorf("%v", err)
	}
	if err := r.runProgram([]string{"/bin/sh", "-c", "kill -9 $$"}, nil); err == nil || !strings.Contains(err.Error(), "signal 9") {
		t.Errorf("%v", err)
	}
	if err := r.runProgram([]string{"/no/such/program"}, nil); err == nil {
		t.Error("a program that does not exist")
	}
}

func TestSwapIsFound(t *testing.T) {
	table := "Filename\t\t\t\tType\t\tSize\n/var/lib/my\\040data/swap    file\t\t65532\n/dev/dm-0  partition 16380\n"
	if got := strings.Join(swapsIn(table), "|"); got != "/var/lib/my data/swap|/dev/dm-0" {
		t.Errorf("%q", got)
	}
	is := func(path string) bool { return path == "/var/lib/data/swap" }
	if !stopsAt("/swap", []string{"", "/run", "/var/lib/data"}, is) || stopsAt("/swap", []string{"", "/run"}, is) {
		t.Error("the place of a container's file is not found")
	}
	if got := swapsIn(""); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

func TestSignalsThatWouldBeLost(t *testing.T) {
	for status, want := range map[string]bool{
		"Name:\tx\nNSpid:\t200\t1\nSigBlk:\t0000000000000000\nSigCgt:\t0000000000000000\n": true,
		"NSpid:\t200\t1\nSigBlk:\t0000000000000000\nSigCgt:\t0000000000004000\n":           false,
		"NSpid:\t200\t1\nSigBlk:\t0000000000004000\nSigCgt:\t0000000000000000\n":           false,
		// Not the first one of a container, which others' signals end.
		"NSpid:\t200\t7\nSigBlk:\t0000000000000000\nSigCgt:\t0000000000000000\n": false,
		"NSpid:\t200\nSigBlk:\t0000000000000000\nSigCgt:\t0000000000000000\n":    false,
		"": false,
	} {
		if got := losesSignal(status, syscall.SIGTERM); got != want {
			t.Errorf("%q: %v", status, got)
		}
	}
}
