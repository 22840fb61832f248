package main

// Each cloud, by a server that answers as the cloud documents.

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// cloudRoute is an answer of a cloud, and the headers that a request for it has to have.
type cloudRoute struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Needs   map[string]string `json:"needs"`
	Refusal int               `json:"refusal"`
	Answer  string            `json:"answer"`
	Header  map[string]string `json:"header"`
}

type cloudDocument struct {
	Base     string            `json:"base"`
	Provider string            `json:"provider"`
	SMBIOS   map[string]string `json:"smbios"`
	Hostname string            `json:"hostname"`
	Routes   []cloudRoute      `json:"routes"`
	Wire     []cloudRoute      `json:"wire"`
}

func readClouds(t testing.TB) (key string, clouds map[string]cloudDocument) {
	t.Helper()
	text, err := os.ReadFile("testdata/clouds.json")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Key    string                   `json:"key"`
		Clouds map[string]cloudDocument `json:"clouds"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	return document.Key, document.Clouds
}

// fakeCloud serves routes; the first answers may be failures.
type fakeCloud struct {
	sync.Mutex
	routes   []cloudRoute
	failures map[string][]int
	seen     []string
	bodies   []string
	ports    []string
}

func (f *fakeCloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.Lock()
	defer f.Unlock()
	f.seen = append(f.seen, r.Method+" "+r.URL.RequestURI())
	f.bodies = append(f.bodies, string(body))
	f.ports = append(f.ports, r.RemoteAddr[strings.LastIndex(r.RemoteAddr, ":")+1:])
	if left := f.failures[r.URL.Path]; len(left) > 0 {
		f.failures[r.URL.Path] = left[1:]
		w.WriteHeader(left[0])
		return
	}
	for _, route := range f.routes {
		if route.Method != r.Method || route.Path != r.URL.RequestURI() {
			continue
		}
		for name, value := range route.Needs {
			if got := r.Header.Get(name); got != value && !(name == "Host" && r.Host == value) {
				w.WriteHeader(route.Refusal)
				return
			}
		}
		for name, value := range route.Header {
			w.Header().Set(name, value)
		}
		_, _ = io.WriteString(w, route.Answer)
		return
	}
	w.WriteHeader(http.StatusNotFound)
}

func serve(t *testing.T, routes []cloudRoute) (*fakeCloud, string) {
	t.Helper()
	cloud := &fakeCloud{routes: routes, failures: map[string][]int{}}
	server := httptest.NewServer(cloud)
	t.Cleanup(server.Close)
	return cloud, server.URL
}

// at makes the provider of a cloud that is at other addresses.
func at(name, base, wire string) provider {
	switch one := providerTable[name]("").(type) {
	case *aws:
		one.bases = []string{base}
		return one
	case *gcp:
		one.bases = []string{base}
		return one
	case *azure:
		one.bases, one.wire.bases = []string{base}, []string{wire}
		return one
	case *openStack:
		one.bases = []string{base}
		one.drives.devices = func() []string { return nil }
		return one
	case *digitalOcean:
		one.bases = []string{base}
		return one
	case *hetzner:
		one.bases = []string{base}
		return one
	case *vultr:
		one.bases = []string{base}
		return one
	case *scaleway:
		// Ports that any user may take.
		one.bases, one.lowest, one.highest = []string{base}, 20100, 20200
		return one
	}
	panic(name)
}

var wantedFiles = map[string]map[string]string{
	"aws": {
		"public_ipv4": "203.0.113.25", "local_ipv4": "10.1.2.3", "availability_zone": "eu-central-1a",
		"instance_type": "t3.micro", "instance_id": "i-0123456789abcdef0",
		"local_hostname": "ip-10-1-2-3.eu-central-1.compute.internal",
	},
	"gcp": {
		"public_ipv4": "203.0.113.26", "local_ipv4": "10.156.0.2", "availability_zone": "europe-west3-a",
		"instance_type": "e2-small", "instance_id": "7423589014236542379",
	},
	"azure": {
		"compute_vmId": "02aab8a4-74ef-476e-8182-f6d2ba4166a6", "compute_zone": "1",
		"instance_id": "02aab8a4-74ef-476e-8182-f6d2ba4166a6", "availability_zone": "1",
		"instance_type": "Standard_B1s", "region": "westeurope",
		"local_ipv4": "10.0.0.4", "public_ipv4": "203.0.113.27",
		"network_interface_0_ipv4_ipAddress_0_privateIpAddress": "10.0.0.4",
		"network_interface_0_ipv4_ipAddress_0_publicIpAddress":  "203.0.113.27",
	},
	"openstack": {
		"public_ipv4": "203.0.113.28", "local_ipv4": "10.0.3.7", "availability_zone": "nova",
		"instance_type": "m1.small", "instance_id": "i-0000002a", "local_hostname": "web.novalocal",
	},
	"digitalocean": {
		"public_ipv4": "203.0.113.29", "private_ipv4": "10.132.255.114", "region": "fra1",
		"id": "2756294", "instance_id": "2756294",
	},
	"hetzner": {
		"public_ipv4": "203.0.113.30", "local_ipv4": "10.0.0.2", "availability_zone": "fsn1-dc14",
		"region": "eu-central", "instance_id": "43",
	},
	"vultr": {
		"public_ipv4": "203.0.113.31", "private_ipv4": "10.1.112.3", "private_netmask": "255.255.240.0",
		"region_code": "FRA", "instance_id": "42872224",
	},
	"scaleway": {
		"public_ip": "203.0.113.32", "private_ip": "10.68.1.3", "instance_location": "par1",
		"instance_id": "3a6d1c1e-7f43-4ae2-8d3f-000000000001", "instance_type": "DEV1-S",
	},
}

var wantedNetworks = map[string]string{
	"aws": `{"interfaces":[{"mac":"02:29:96:8f:6a:2d","dhcp4":true,"dhcp6":true,` +
		`"addresses":["10.1.2.3/24","2001:db8:8:4::2/64"]}]}`,
	"gcp": `{"interfaces":[{"mac":"42:01:0a:9c:00:02","mtu":1460,"dhcp4":true,"addresses":["10.156.0.2/20"],` +
		`"routes":[{"to":"0.0.0.0/0","via":"10.156.0.1"}]}],"nameservers":["169.254.169.254"]}`,
	"azure": `{"interfaces":[{"mac":"00:0d:3a:12:34:56","dhcp4":true,"addresses":["10.0.0.4/24"]}]}`,
	"openstack": `{"interfaces":[{"mac":"fa:16:3e:9c:bf:3d","mtu":1450,"dhcp6":true,` +
		`"addresses":["10.0.3.7/24","2001:db8::7/64"],"routes":[{"to":"0.0.0.0/0","via":"10.0.3.1"}]}],` +
		`"nameservers":["10.0.3.2"]}`,
	"digitalocean": `{"interfaces":[{"mac":"04:01:2a:0f:2a:01","addresses":["203.0.113.29/20",` +
		`"2001:db8:800:10::17d:2001/64","10.17.0.9/16"],"routes":[{"to":"0.0.0.0/0","via":"203.0.112.1"},` +
		`{"to":"::/0","via":"2001:db8:800:10::1"}]},{"mac":"04:01:2a:0f:2a:02","addresses":["10.132.255.114/16"]}],` +
		`"nameservers":["67.207.67.2","67.207.67.3"]}`,
	"hetzner": `{"interfaces":[{"name":"eth0","mac":"96:00:00:08:19:da","dhcp4":true,` +
		`"addresses":["2001:db8:121:1ba::1/64"],"routes":[{"to":"::/0","via":"fe80::1"}]},` +
		`{"mac":"86:00:00:2a:7d:e0","dhcp4":true,"addresses":["10.0.0.2/32"],` +
		`"routes":[{"to":"10.0.0.0/8","via":"10.0.0.1"}]}],` +
		`"nameservers":["2001:db8:0:a0a1::add:1010","2001:db8:0:a111::add:9898"]}`,
	"vultr": `{"interfaces":[{"mac":"56:00:03:15:c4:65","dhcp4":true,"dhcp6":true,` +
		`"addresses":["203.0.113.31/23","2001:db8:7:1:5400:ff:fe00:1/64"],` +
		`"routes":[{"to":"0.0.0.0/0","via":"203.0.113.1"}]},` +
		`{"mac":"5a:00:03:1b:4e:ca","addresses":["10.1.112.3/20"]}]}`,
	"scaleway": `{"interfaces":[{"dhcp4":true,"addresses":["203.0.113.32/32","2001:db8:dc8::2f/127"],` +
		`"routes":[{"to":"0.0.0.0/0","via":"62.210.0.1"},{"to":"::/0","via":"2001:db8:dc8::2e"}]}]}`,
}

func TestEachCloud(t *testing.T) {
	key, clouds := readClouds(t)
	for name, document := range clouds {
		t.Run(name, func(t *testing.T) {
			cloud, base := serve(t, document.Routes)
			wire, wireBase := serve(t, document.Wire)
			// As at the start of a machine: the service is not ready yet.
			first := document.Routes[0].Path
			first, _, _ = strings.Cut(first, "?")
			cloud.failures[first] = []int{503, 500}
			found, err := at(name, base, wireBase).ask(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"hostname": document.Hostname}
			for file, value := range wantedFiles[name] {
				want[file] = value
			}
			if !reflect.DeepEqual(found.files, want) {
				t.Errorf("files: %v\nwanted: %v", found.files, want)
			}
			if len(found.keys) == 0 || found.keys[0] != key {
				t.Errorf("keys: %q", found.keys)
			}
			if !strings.Contains(string(found.userdata), "cloud="+name) {
				t.Errorf("userdata: %s", found.userdata)
			}
			if text, _ := json.Marshal(found.network); string(text) != wantedNetworks[name] {
				t.Errorf("network: %s\nwanted:  %s", text, wantedNetworks[name])
			}
			if len(wire.seen) > 0 {
				t.Errorf("reported before anything is written: %v", wire.seen)
			}
		})
	}
}

func TestKeysOfAProjectAndOfTags(t *testing.T) {
	_, clouds := readClouds(t)
	_, base := serve(t, clouds["gcp"].Routes)
	found, err := at("gcp", base, "").ask(context.Background())
	if err != nil || len(found.keys) != 2 || found.keys[1] != "ssh-rsa AAAAB3project admin" {
		t.Errorf("%v, %v", found, err)
	}
	blocked := []byte(`{"attributes": {"ssh-keys": "me:ssh-rsa own", "block-project-ssh-keys": "TRUE"}}`)
	found, err = readGCP(blocked, []byte(`{"ssh-keys": "admin:ssh-rsa other"}`))
	if err != nil || !reflect.DeepEqual(found.keys, []string{"ssh-rsa own"}) {
		t.Errorf("%v, %v", found, err)
	}
	_, base = serve(t, clouds["scaleway"].Routes)
	found, err = at("scaleway", base, "").ask(context.Background())
	if err != nil || len(found.keys) != 2 || found.keys[1] != "ssh-rsa AAAAtag me" {
		t.Errorf("%v, %v", found, err)
	}
}

// without leaves out the routes of a path.
func without(routes []cloudRoute, path string) []cloudRoute {
	var left []cloudRoute
	for _, one := range routes {
		if !strings.HasPrefix(one.Path, path) {
			left = append(left, one)
		}
	}
	return left
}

func TestWhatAMachineNeedNotHave(t *testing.T) {
	_, clouds := readClouds(t)
	for name, path := range map[string]string{
		"aws": "/latest/user-data", "openstack": "/openstack/latest/user_data", "hetzner": "/hetzner/v1/userdata",
		"vultr": "/latest/user-data", "scaleway": "/user_data",
	} {
		_, base := serve(t, without(clouds[name].Routes, path))
		found, err := at(name, base, "").ask(context.Background())
		if err != nil || found == nil || found.userdata != nil {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
	routes := without(clouds["aws"].Routes, ec2Values+"public")
	routes = without(routes, ec2Values+"network")
	_, base := serve(t, routes)
	found, err := at("aws", base, "").ask(context.Background())
	if err != nil || found.keys != nil || found.network != nil || found.files["public_ipv4"] != "" {
		t.Errorf("%v, %v", found, err)
	}
}

func TestTheFirstVersionOfAWSHasNoTokens(t *testing.T) {
	_, clouds := readClouds(t)
	routes := without(clouds["aws"].Routes, "/latest/api")
	for i := range routes {
		routes[i].Needs = nil
	}
	_, base := serve(t, routes)
	found, err := at("aws", base, "").ask(context.Background())
	if err != nil || found.files["instance_id"] != "i-0123456789abcdef0" {
		t.Errorf("%v, %v", found, err)
	}
}

func TestSomeoneElsesServiceIsNoAnswer(t *testing.T) {
	_, base := serve(t, nil)
	_, clouds := readClouds(t)
	for name := range clouds {
		if name == "azure" {
			// Its service says so while the machine is being made.
			continue
		}
		if found, err := at(name, base, base).ask(context.Background()); found != nil || !silence(err) {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
	page := []cloudRoute{{Method: "GET", Path: "/computeMetadata/v1/instance/?recursive=true", Answer: "<html>"}}
	_, base = serve(t, page)
	if found, err := at("gcp", base, "").ask(context.Background()); found != nil || !silence(err) {
		t.Errorf("%v, %v", found, err)
	}
}

func TestDocumentsThatCannotBeRead(t *testing.T) {
	_, clouds := readClouds(t)
	for _, name := range []string{"gcp", "azure", "openstack", "digitalocean", "hetzner", "vultr", "scaleway"} {
		routes := append([]cloudRoute{}, clouds[name].Routes...)
		routes[0].Answer = "{\"half"
		_, base := serve(t, routes)
		found, err := at(name, base, "").ask(context.Background())
		if err == nil || silence(err) {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}

func TestScalewaysUserDataComesFromALowPort(t *testing.T) {
	_, clouds := readClouds(t)
	cloud, base := serve(t, clouds["scaleway"].Routes)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	one := at("scaleway", base, "").(*scaleway)
	one.highest = taken.Addr().(*net.TCPAddr).Port
	one.lowest = one.highest - 20
	cloud.failures["/user_data/cloud-init"] = []int{503}
	if _, err := one.ask(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, text := range cloud.ports[1:] {
		if port, _ := strconv.Atoi(text); port < one.lowest || port >= one.highest {
			t.Errorf("from port %d, which is not from %d to %d", port, one.lowest, one.highest-1)
		}
	}
}

func TestAzureHearsThatTheMachineIsReady(t *testing.T) {
	_, clouds := readClouds(t)
	_, base := serve(t, clouds["azure"].Routes)
	wire, wireBase := serve(t, clouds["azure"].Wire)
	wire.failures["/machine"] = []int{503}
	found, err := at("azure", base, wireBase).ask(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	const names = `<GoalStateIncarnation>2</GoalStateIncarnation><Container>` +
		`<ContainerId>c6d5526c-5ac2-4200-b6e2-56f2b70c5ab2</ContainerId><RoleInstanceList><Role>` +
		`<InstanceId>b61f93d0-e1ed-40b2-b067-22c243233448.web</InstanceId><Health>`
	const end = `</Health></Role></RoleInstanceList></Container></Health>`
	for _, c := range []struct {
		failure error
		state   string
	}{
		{nil, `<State>Ready</State>`},
		{errors.New("no <room>"), `<State>NotReady</State><Details><SubStatus>ProvisioningFailed</SubStatus>` +
			`<Description>no &lt;room&gt;</Description></Details>`},
	} {
		if err := found.report(context.Background(), c.failure); err != nil {
			t.Fatal(err)
		}
		got := wire.bodies[len(wire.bodies)-1]
		if want := `<?xml version="1.0" encoding="utf-8"?><Health>` + names + c.state + end; got != want {
			t.Errorf("reported %s\nwanted   %s", got, want)
		}
	}
	want := []string{
		"GET /machine/?comp=goalstate", "POST /machine?comp=health", "POST /machine?comp=health",
		"GET /machine/?comp=goalstate", "POST /machine?comp=health",
	}
	if !reflect.DeepEqual(wire.seen, want) {
		t.Errorf("requests: %v", wire.seen)
	}
}
