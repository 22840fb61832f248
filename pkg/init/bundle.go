package main

// Bundles: the containers of a system, as they lie in /containers.

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"time"
)

const (
	stopTimeoutKey = "dolmen.stop-timeout"
	restartKey     = "dolmen.restart"
)

type bundle struct {
	kind, name, directory string
}

// id is the container's name for the OCI runtime.
func (b bundle) id() string {
	if b.kind == "services" {
		return b.name
	}
	return b.kind + "-" + filepath.Base(b.directory)
}

func (b bundle) String() string {
	if b.kind == "services" {
		return "service " + b.name
	}
	return b.kind + " " + b.name
}

// bundles lists the bundles of a kind in the order of their names.
func bundles(kind string) []bundle { return bundlesIn("/containers", kind) }

func bundlesIn(base, kind string) []bundle {
	entries, _ := os.ReadDir(filepath.Join(base, kind))
	var found []bundle
	for _, entry := range entries {
		if entry.IsDir() {
			name := entry.Name()
			if kind != "services" && len(name) > 4 && name[3] == '-' {
				name = name[4:]
			}
			found = append(found, bundle{kind, name, filepath.Join(base, kind, entry.Name())})
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].directory < found[j].directory })
	return found
}

// runtimeSpec is what is to be done around a container.
type runtimeSpec struct {
	Cgroups    []string          `json:"cgroups"`
	Mounts     []mountSpec       `json:"mounts"`
	Mkdir      []string          `json:"mkdir"`
	Interfaces []interfaceSpec   `json:"interfaces"`
	BindNS     map[string]string `json:"bindNS"`
	Namespace  string            `json:"namespace"`
}

// containerSpec is the little of config.json that concerns us.
type containerSpec struct {
	Process struct {
		Args []string `json:"args"`
		Env  []string `json:"env"`
	} `json:"process"`
	Annotations map[string]string `json:"annotations"`
}

func (b bundle) runtimeSpec() (runtimeSpec, error) {
	var spec runtimeSpec
	err := readJSON(filepath.Join(b.directory, "runtime.json"), &spec)
	if os.IsNotExist(err) {
		err = nil
	}
	return spec, err
}

func (b bundle) containerSpec() (containerSpec, error) {
	var spec containerSpec
	if err := readJSON(filepath.Join(b.directory, "config.json"), &spec); err != nil {
		return spec, err
	}
	if len(spec.Process.Args) == 0 {
		return spec, fmt.Errorf("it has no command: the image has none, and the YAML gives none")
	}
	return spec, nil
}

// rootFilesystems returns the kinds of filesystems that containers mount before they start.
func rootFilesystems(base string) []string {
	var kinds []string
	seen := map[string]bool{"": true, "bind": true}
	for _, kind := range []string{"onboot", "services"} {
		for _, b := range bundlesIn(base, kind) {
			// What is wrong with it is said when it starts.
			spec, _ := b.runtimeSpec()
			for _, m := range spec.Mounts {
				if !seen[m.Type] {
					seen[m.Type] = true
					kinds = append(kinds, m.Type)
				}
			}
		}
	}
	return kinds
}

func readJSON(path string, into any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// stopTimeout is how long a container has between SIGTERM and SIGKILL.
func (c containerSpec) stopTimeout(usual time.Duration) time.Duration {
	if given, err := time.ParseDuration(c.Annotations[stopTimeoutKey]); err == nil && given >= 0 {
		return given
	}
	return usual
}

// restarts tells whether a service is started again after its end.
func (c containerSpec) restarts(failed bool) bool {
	switch c.Annotations[restartKey] {
	case "always":
		return true
	case "never", "no":
		return false
	default:
		return failed
	}
}
