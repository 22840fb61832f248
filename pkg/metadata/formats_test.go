package main

// What providers read besides documents of clouds: YAML, configurations of the network, labels,
// guestinfo.

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestYAML(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   `null`,
		"# nothing\n\n":                      `null`,
		"---\na: 1\nb: yes # said\n":         `{"a":"1","b":"yes"}`,
		"a:\n  b:\n    c: d\ne: f\n":         `{"a":{"b":{"c":"d"}},"e":"f"}`,
		"a:\n- 1\n- 2\nb: ~\n":               `{"a":["1","2"],"b":null}`,
		"a:\n  - b: 1\n    c: 2\n  - d\n":    `{"a":[{"b":"1","c":"2"},"d"]}`,
		"- - a\n  - b\n-\n  c: d\n":          `[["a","b"],{"c":"d"}]`,
		"a: [b, 'c d', {e: f}, []]\n":        `{"a":["b","c d",{"e":"f"},[]]}`,
		"a: \"x # \\\"y\\\"\\n\"\n'b': it's": `{"a":"x # \"y\"\n","b":"it's"}`,
		"a: |\n  x\n\n   y\nb: z\n":          `{"a":"x\n\n y\n","b":"z"}`,
		"a: >-\n  x\n  y\n":                  `{"a":"x y"}`,
		"mac: 52:54:00:aa:bb:cc\n":           `{"mac":"52:54:00:aa:bb:cc"}`,
		"url: http://x/#y\n":                 `{"url":"http://x/#y"}`,
		"a: 'it''s'\r\nb: c\r\n":             `{"a":"it's","b":"c"}`,
		`{"a": [1, true, null, "x"]}`:        `{"a":["1","true",null,"x"]}`,
		"plain":                              `"plain"`,
	} {
		value, err := parseYAML(text)
		got, _ := json.Marshal(value)
		if err != nil || string(got) != want {
			t.Errorf("%q: %s, %v; wanted %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"a: 1\na: 2\n":                   "line 2: the key \"a\" is there twice",
		"a: [b\n":                        "line 1: \"[b\" cannot be read",
		"a: 1\n  b: 2\n":                 "line 2: \"b: 2\" is not expected here",
		"\ta: 1\n":                       "line 1: a tab",
		"a: 1\nb\n":                      "line 2: no key in \"b\"",
		strings.Repeat("- ", 60) + "a\n": "deeper than 50 levels",
		"a: \xff":                        "not UTF-8",
	} {
		if value, err := parseYAML(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; wanted %s", text, value, err, want)
		}
	}
}

const (
	versionOne = `version: 1
config:
  - type: physical
    name: eth0
    mac_address: "52:54:00:12:34:00"
    mtu: 1450
    subnets:
      - type: static
        address: 192.168.1.10
        netmask: 255.255.255.0
        gateway: 192.168.1.254
        routes:
          - {network: 10.0.0.0, netmask: 255.0.0.0, gateway: 192.168.1.1}
      - type: dhcp6
  - type: nameserver
    address: [192.168.23.2, 8.8.8.8]
    search: exemplary.org
`
	versionTwo = `network:
  version: 2
  ethernets:
    id0:
      match:
        macaddress: '00:11:22:33:44:55'
      set-name: wan
      addresses: [192.168.14.2/24, "2001:1::1/64"]
      gateway4: 192.168.14.1
      nameservers:
        search: [foo.local]
        addresses: [8.8.8.8]
      routes:
        - to: default
          via: 2001:1::2
    lan:
      dhcp4: true
`
)

func TestNetworksOfCloudInit(t *testing.T) {
	for text, want := range map[string]string{
		versionOne: `{"interfaces":[{"name":"eth0","mac":"52:54:00:12:34:00","mtu":1450,"dhcp6":true,` +
			`"addresses":["192.168.1.10/24"],"routes":[{"to":"0.0.0.0/0","via":"192.168.1.254"},` +
			`{"to":"10.0.0.0/8","via":"192.168.1.1"}]}],"nameservers":["192.168.23.2","8.8.8.8"],` +
			`"search":["exemplary.org"]}`,
		versionTwo: `{"interfaces":[{"name":"wan","mac":"00:11:22:33:44:55",` +
			`"addresses":["192.168.14.2/24","2001:1::1/64"],"routes":[{"to":"0.0.0.0/0","via":"192.168.14.1"},` +
			`{"to":"::/0","via":"2001:1::2"}]},{"name":"lan","dhcp4":true}],"nameservers":["8.8.8.8"],` +
			`"search":["foo.local"]}`,
		"version: 3\n": `null`,
		"x\n":          `null`,
	} {
		value, err := parseYAML(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := json.Marshal(networkOfCloudInit(value)); string(got) != want {
			t.Errorf("%s: %s\nwanted %s", text, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct{ text, mask, want string }{
		{"10.0.0.1", "255.255.255.0", "10.0.0.1/24"}, {"10.0.0.1", "", "10.0.0.1/32"}, {"10.0.0.1/8", "24", "10.0.0.1/8"},
		{"2001:db8::1", "64", "2001:db8::1/64"}, {"2001:db8::1", "ffff:ffff::", "2001:db8::1/32"},
		{"10.0.0.1", "255.0.255.0", ""}, {"10.0.0.1", "33", ""}, {"10.0.0.1", "x", ""}, {"fe80::1%eth0", "64", ""}, {"x", "", ""},
	} {
		one := &networkInterface{}
		one.addAddress(c.text, c.mask)
		if got := strings.Join(one.Addresses, " "); got != c.want {
			t.Errorf("%s, %s: %q", c.text, c.mask, got)
		}
	}
	if cleanMAC("00-0D-3A.12:34:56") != "00:0d:3a:12:34:56" || cleanMAC("00:0d") != "" || cleanMAC("gg0d3a123456") != "" {
		t.Error("addresses of cards")
	}
}

// discImage returns the beginning of a CD with a label.
func discImage(label string) []byte {
	image := make([]byte, descriptorStart+2048)
	copy(image[descriptorStart:], "\x01CD001\x01")
	copy(image[discLabelAt:], label+strings.Repeat(" ", discLabelSize-len(label)))
	return image
}

// fatImage returns the beginning of a FAT with a label in its root directory.
func fatImage(label string, large bool) []byte {
	image := make([]byte, 8192)
	binary.LittleEndian.PutUint16(image[11:], sectorSize)
	image[13], image[16] = 1, 2
	binary.LittleEndian.PutUint16(image[14:], 2)
	image[510], image[511] = 0x55, 0xaa
	root := (2 + 2*3) * sectorSize
	if large {
		binary.LittleEndian.PutUint32(image[36:], 3)
		binary.LittleEndian.PutUint32(image[44:], 3)
		copy(image[71:], "NO NAME    FAT32   ")
		root += sectorSize
	} else {
		binary.LittleEndian.PutUint16(image[22:], 3)
		copy(image[43:], "NO NAME    FAT16   ")
	}
	copy(image[root:], "README  TXT\x20")
	copy(image[root+fatEntrySize:], (label + strings.Repeat(" ", fatLabelSize))[:fatLabelSize]+"\x08")
	return image
}

func TestLabels(t *testing.T) {
	for _, c := range []struct {
		image       []byte
		kind, label string
	}{
		{discImage("cidata"), "iso9660", "cidata"}, {fatImage("CIDATA", false), "vfat", "CIDATA"},
		{fatImage("config-2", true), "vfat", "config-2"}, {make([]byte, 4096), "", ""}, {nil, "", ""},
	} {
		if kind, label := readLabel(bytes.NewReader(c.image)); kind != c.kind || label != c.label {
			t.Errorf("%s %s: %q %q", c.kind, c.label, kind, label)
		}
	}
}

// volumesWith makes volumes of one file system, which has the files.
func volumesWith(t *testing.T, label string, image []byte, files map[string]string) *volumes {
	t.Helper()
	directory := t.TempDir()
	device, other := filepath.Join(directory, "vdb"), filepath.Join(directory, "vda")
	for path, content := range map[string][]byte{device: image, other: discImage("OTHER")} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	one := newVolumes(label)
	one.devices = func() []string { return []string{other, device} }
	one.mount = func(mounted, _, at string) error {
		if mounted != device {
			t.Errorf("%s is mounted", mounted)
		}
		for name, content := range files {
			path := filepath.Join(at, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				return err
			}
		}
		return nil
	}
	one.unmount = func(string) {}
	one.mountPoint = filepath.Join(directory, "mounted")
	return one
}

func TestNoCloud(t *testing.T) {
	files := map[string]string{
		"user-data": "#cloud-config\n", "network-config": versionTwo,
		"meta-data": "instance-id: one\nlocal-hostname: web\npublic-keys:\n  - ssh-rsa a\n  - ssh-rsa b\n",
	}
	one := &noCloud{volumesWith(t, "cidata", fatImage("CIDATA", false), files)}
	found, err := one.ask(context.Background())
	if err != nil || found == nil {
		t.Fatal(found, err)
	}
	if string(found.userdata) != "#cloud-config\n" || found.files["hostname"] != "web" || found.files["instance_id"] != "one" ||
		!reflect.DeepEqual(found.keys, []string{"ssh-rsa a", "ssh-rsa b"}) || len(found.network.Interfaces) != 2 ||
		found.files["network-config"] != versionTwo {
		t.Errorf("%v", found)
	}
}

func TestOpenStacksDrive(t *testing.T) {
	_, clouds := readClouds(t)
	files := map[string]string{}
	for _, route := range clouds["openstack"].Routes {
		if strings.HasPrefix(route.Path, "/openstack") {
			files[route.Path] = route.Answer
		}
	}
	one := newOpenStack()
	one.bases = []string{"http://127.0.0.1:1"}
	one.drives = volumesWith(t, "config-2", discImage("config-2"), files)
	found, err := one.ask(context.Background())
	if err != nil || found == nil {
		t.Fatal(found, err)
	}
	if found.files["instance_id"] != "83679162-1378-4288-a2d4-70e13ec132aa" || found.files["hostname"] != "web.novalocal" ||
		len(found.keys) != 1 || len(found.network.Interfaces) != 1 || !strings.Contains(string(found.userdata), "cloud=openstack") {
		t.Errorf("%v", found)
	}
}

// fakeBackdoor has variables, and speaks the protocol of messages as VMware does.
type fakeBackdoor struct {
	variables map[string]string
	length    uint32
	sent      []byte
	reply     []byte
	calls     int
}

func (f *fakeBackdoor) call(r *backdoorRegisters) {
	f.calls++
	step, channel := r.cx>>16, r.dx>>16
	r.cx = messageSuccess << 16
	if r.ax != backdoorMagic || step != openStep && (channel != 3 || r.si != 0x11 || r.di != 0x22) {
		r.cx = 0
		return
	}
	switch step {
	case openStep:
		if r.bx != messageProtocol|withCookies {
			r.cx = 0
		}
		r.dx, r.si, r.di = 3<<16, 0x11, 0x22
		f.sent = nil
	case sendLength:
		f.length = r.bx
	case sendPart:
		f.sent = binary.LittleEndian.AppendUint32(f.sent, r.bx)
	case receiveLength:
		f.reply = []byte("0 No value found")
		name := strings.TrimPrefix(string(f.sent[:f.length]), "info-get ")
		if value, there := f.variables[name]; there {
			f.reply = []byte("1 " + value)
		}
		r.bx, r.cx = uint32(len(f.reply)), (messageSuccess|messageReply)<<16
	case receivePart:
		var part [4]byte
		f.reply = f.reply[copy(part[:], f.reply):]
		r.bx = binary.LittleEndian.Uint32(part[:])
	}
}

func packed(text string) string {
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	_, _ = writer.Write([]byte(text))
	_ = writer.Close()
	return base64.StdEncoding.EncodeToString(buffer.Bytes())
}

func TestGuestinfo(t *testing.T) {
	backdoor := &fakeBackdoor{variables: map[string]string{
		"guestinfo.metadata":          packed("local-hostname: web\ninstance-id: x\n" + versionTwo),
		"guestinfo.metadata.encoding": "gzip+base64",
		"guestinfo.userdata":          "hello there, guest",
	}}
	one := &vmware{func() bool { return true }, backdoor.call}
	found, err := one.ask(context.Background())
	if err != nil || found == nil {
		t.Fatal(found, err)
	}
	if found.files["hostname"] != "web" || string(found.userdata) != "hello there, guest" || len(found.network.Interfaces) != 2 {
		t.Errorf("%v", found)
	}
	for _, unset := range []map[string]string{{}, {"guestinfo.userdata": "---", "guestinfo.metadata": " "}} {
		one.call = (&fakeBackdoor{variables: unset}).call
		if found, err := one.ask(context.Background()); found != nil || err != nil {
			t.Errorf("%v: %v, %v", unset, found, err)
		}
	}
	one.call = func(r *backdoorRegisters) { r.cx = 0 }
	if found, err := one.ask(context.Background()); found != nil || err == nil {
		t.Errorf("%v, %v", found, err)
	}
	one.available, one.call = hasBackdoor, callBackdoor
	if found, err := one.ask(context.Background()); found != nil || err != nil {
		t.Errorf("on this machine: %v, %v", found, err)
	}
}

func TestEncodingsOfGuestinfo(t *testing.T) {
	for encoding, value := range map[string]string{
		"": "text", "base64": "dGV4dA==", "b64": "dGV4dA==\n", "gzip+base64": packed("text"), "gz+b64": packed("text"),
	} {
		if got, err := decodeVariable(value, encoding); err != nil || string(got) != "text" {
			t.Errorf("%s: %q, %v", encoding, got, err)
		}
	}
	for encoding, value := range map[string]string{"rot13": "grkg", "base64": "!", "gzip+base64": "dGV4dA=="} {
		if got, err := decodeVariable(value, encoding); err == nil {
			t.Errorf("%s: %q", encoding, got)
		}
	}
}
