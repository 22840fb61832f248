package main

import (
	"errors"
	"reflect"
	"sort"
	"sync"
	"syscall"
	"testing"
	"time"
)

// indexOf is an index of modules that need others; what the kernel gets is kept in order.
func indexOf(needs, softNeeds map[string][]string) (*moduleIndex, func() []string) {
	m := readModules("")
	m.needs, m.softNeeds = needs, softNeeds
	for _, all := range []map[string][]string{needs, softNeeds} {
		for name, others := range all {
			for _, each := range append(others, name) {
				m.files[each] = each + ".ko"
			}
		}
	}
	var lock sync.Mutex
	var given []string
	m.give = func(path, _ string) error {
		lock.Lock()
		defer lock.Unlock()
		given = append(given, moduleName(path))
		return nil
	}
	return m, func() []string { return given }
}

func TestModulesThatOthersNeedComeFirst(t *testing.T) {
	m, given := indexOf(map[string][]string{"net": {"failover", "base"}}, map[string][]string{"net": {"helper"}})
	if err := m.load("net", ""); err != nil {
		t.Fatal(err)
	}
	if want := []string{"helper", "base", "failover", "net"}; !reflect.DeepEqual(given(), want) {
		t.Errorf("%v", given())
	}
}

func TestModulesInACircleAreLoaded(t *testing.T) {
	m, given := indexOf(nil, map[string][]string{"a": {"b"}, "b": {"a"}})
	done := make(chan bool)
	for _, name := range []string{"a", "b"} {
		go func(name string) {
			done <- m.load(name, "") == nil
		}(name)
	}
	for range []int{1, 2} {
		select {
		case fine := <-done:
			if !fine {
				t.Error("a module of the circle is not loaded")
			}
		case <-time.After(10 * time.Second):
			t.Fatal("each waits for the other")
		}
	}
	found := given()
	sort.Strings(found)
	if !reflect.DeepEqual(found, []string{"a", "b"}) {
		t.Errorf("%v", found)
	}
}

func TestADamagedIndexOfModulesHoldsNothingUp(t *testing.T) {
	m, given := indexOf(map[string][]string{"a": {"b", "a"}, "b": {"a"}}, nil)
	done := make(chan error, 1)
	go func() { done <- m.load("a", "") }()
	select {
	case err := <-done:
		if err != nil || len(given()) == 0 {
			t.Errorf("%v %v", err, given())
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a module waits for itself")
	}
}

func TestAModuleThatIsNeededAndNeedsSoftlyIsLoaded(t *testing.T) {
	m, given := indexOf(map[string][]string{"a": {"b"}}, map[string][]string{"b": {"a"}})
	if err := m.load("a", ""); err != nil || !reflect.DeepEqual(given(), []string{"b", "a"}) {
		t.Errorf("%v %v", err, given())
	}
}

func TestModulesAreGivenOnceToAllWhoAsk(t *testing.T) {
	m, given := indexOf(map[string][]string{"disk": {}}, nil)
	entered, leave := make(chan struct{}), make(chan struct{})
	give := m.give
	m.give = func(path, parameters string) error {
		close(entered)
		<-leave
		return give(path, parameters)
	}
	results := make(chan error, 2)
	go func() { results <- m.load("disk", "") }()
	<-entered
	go func() { results <- m.load("disk", "") }()
	select {
	case <-results:
		t.Fatal("the second does not wait until the module is there")
	case <-time.After(20 * time.Millisecond):
	}
	close(leave)
	for range []int{1, 2} {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if len(given()) != 1 {
		t.Errorf("%v", given())
	}
}

func TestModulesThatFailAreTriedAgain(t *testing.T) {
	m, given := indexOf(map[string][]string{"disk": {}}, nil)
	give := m.give
	m.give = func(string, string) error { return errors.New("not now") }
	if m.load("disk", "") == nil {
		t.Error("a failure is not told")
	}
	m.give = give
	if err := m.load("disk", ""); err != nil || len(given()) != 1 {
		t.Errorf("%v %v", err, given())
	}
}

func TestEventsOfOthersAreNotTheKernels(t *testing.T) {
	message := []byte("add@/devices/x\x00ACTION=add\x00MODALIAS=virtio:d1\x00")
	if kernelEvent(message, &syscall.SockaddrNetlink{Pid: 7}) != nil {
		t.Error("a process can have modules loaded")
	}
	if kernelEvent(message, &syscall.SockaddrNetlink{})["MODALIAS"] != "virtio:d1" {
		t.Error("the kernel is not heard")
	}
}

func TestFilesystemsOfContainersAreKnownBeforeTheyStart(t *testing.T) {
	base := t.TempDir()
	write(t, base+"/onboot/000-dhcp/runtime.json", `{"mounts": [{"type": "bind"}, {"type": "tmpfs"}]}`)
	write(t, base+"/services/shell/runtime.json", `{"mounts": [{"type": "overlay"}, {"type": "tmpfs"}]}`)
	write(t, base+"/services/broken/runtime.json", `{"mounts`)
	if found := rootFilesystems(base); !reflect.DeepEqual(found, []string{"tmpfs", "overlay"}) {
		t.Errorf("%v", found)
	}
}
