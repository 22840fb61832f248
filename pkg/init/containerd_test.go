package main

import (
	"os"
	"reflect"
	"syscall"
	"testing"
)

func TestWhatContainerdIsGiven(t *testing.T) {
	directory := t.TempDir() + "/services/web"
	write(t, directory+"/config.json", `{"root": {"path": "rootfs", "readonly": true}, "process": {"args": ["x"]},
		"linux": {"resources": {"memory": {"limit": 9007199254740993}}}, "hooks": {"createRuntime": [{"path": "/own"}]}}`)
	b := bundle{kind: "services", name: "web", directory: directory}
	path := t.TempDir() + "/config.json"
	var got struct {
		Root  map[string]any
		Linux struct {
			Resources struct{ Memory struct{ Limit int64 } }
		}
		Hooks struct {
			CreateRuntime []struct {
				Path string
				Args []string
			}
		}
	}
	if err := writeContainerdSpec(b, runtimeSpec{BindNS: map[string]string{"net": ""}}, path); err != nil {
		t.Fatal(err)
	}
	if err := readJSON(path, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Root, map[string]any{"path": directory + "/rootfs", "readonly": true}) {
		t.Errorf("the root is %v", got.Root)
	}
	if got.Linux.Resources.Memory.Limit != 9007199254740993 {
		t.Errorf("a large number became %d", got.Linux.Resources.Memory.Limit)
	}
	if hooks := got.Hooks.CreateRuntime; len(hooks) != 1 || hooks[0].Path != "/own" {
		t.Errorf("the hooks are %+v", hooks)
	}
	spec := runtimeSpec{Interfaces: []interfaceSpec{{Name: "x"}}}
	if err := writeContainerdSpec(b, spec, path); err != nil {
		t.Fatal(err)
	}
	if err := readJSON(path, &got); err != nil {
		t.Fatal(err)
	}
	if hooks := got.Hooks.CreateRuntime; len(hooks) != 2 || hooks[0].Path != hookHelper || hooks[0].Args[1] != directory {
		t.Errorf("the hooks are %+v", hooks)
	}
}

func TestHowAContainerInContainerdHasEnded(t *testing.T) {
	for _, c := range []struct {
		said     string
		status   int
		code     int
		exit     int
		signaled bool
	}{
		{"", 0, 0, 0, false},
		{"", 7, 7, 7, false},
		{`level=warning msg="task x exit with non-zero exit code 5"`, 0, 5, 5, false},
		{"WARN[0000] task x exit with non-zero exit code 143", 0, 143, -1, true},
		{"non-zero exit code many", 0, 0, 0, false},
	} {
		if got := exitCode(c.said, c.status); got != c.code {
			t.Errorf("%q: %d", c.said, got)
		}
		if got := exitStatus(c.code); got.ExitStatus() != c.exit || got.Signaled() != c.signaled {
			t.Errorf("%d: %v", c.code, got)
		}
	}
	if exitStatus(137).Signal() != syscall.SIGKILL {
		t.Error("137 is not SIGKILL")
	}
}

func TestOptionsForContainerd(t *testing.T) {
	path := t.TempDir() + "/options"
	if got := commandLineOptions(path); got != nil {
		t.Errorf("without a file: %q", got)
	}
	write(t, path, "stderr = \"x\"\ncliopts = \"--log-level debug\"\n")
	if got := commandLineOptions(path); !reflect.DeepEqual(got, []string{"--log-level", "debug"}) {
		t.Errorf("%q", got)
	}
}

func TestTheEndOfAProcessIsAwaited(t *testing.T) {
	process, err := os.StartProcess("/bin/sh", []string{"sh", "-c", "sleep 0.1"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	awaitProcess(process.Pid)
	// It has ended, so it is reaped without waiting.
	var status syscall.WaitStatus
	if pid, err := syscall.Wait4(process.Pid, &status, syscall.WNOHANG, nil); pid != process.Pid || err != nil {
		t.Errorf("%d %v", pid, err)
	}
}
