package main

// Kernel modules: found by name or alias in the indexes, loaded with what they need.

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"unsafe"
)

var errNoModule = errors.New("there is no such module")

type alias struct{ pattern, module string }

// moduleIndex is what modules.dep and its like say.
type moduleIndex struct {
	directory string
	files     map[string]string
	needs     map[string][]string
	softNeeds map[string][]string
	builtin   map[string]bool
	// By what stands before the first colon (pci, virtio, fs-…), to look at few patterns.
	aliases map[string][]alias

	// give hands a file to the kernel.
	give func(path, parameters string) error

	lock sync.Mutex
	// By name; those that have failed are not kept.
	loading map[string]*moduleLoading
}

// moduleLoading is the loading of a module, which several may wait for.
type moduleLoading struct {
	done chan struct{}
	err  error
}

func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// openModules reads the indexes of the running kernel; without any there is nothing in them.
func openModules() *moduleIndex {
	release := kernelRelease()
	for _, base := range []string{"/lib/modules/", "/usr/lib/modules/"} {
		if isDirectory(base + release) {
			return readModules(base + release)
		}
	}
	return readModules("")
}

func readModules(directory string) *moduleIndex {
	m := &moduleIndex{
		directory: directory, files: map[string]string{}, needs: map[string][]string{},
		softNeeds: map[string][]string{}, builtin: map[string]bool{},
		aliases: map[string][]alias{}, loading: map[string]*moduleLoading{}, give: finitModule,
	}
	if directory == "" {
		return m
	}
	m.lines("modules.dep", func(line string) {
		path, needs, found := strings.Cut(line, ":")
		if !found {
			return
		}
		name := moduleName(path)
		m.files[name] = path
		for _, need := range strings.Fields(needs) {
			m.needs[name] = append(m.needs[name], moduleName(need))
		}
	})
	m.lines("modules.builtin", func(line string) { m.builtin[moduleName(line)] = true })
	m.lines("modules.alias", func(line string) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == "alias" {
			key := aliasKey(words[1])
			m.aliases[key] = append(m.aliases[key], alias{words[1], words[2]})
		}
	})
	m.lines("modules.softdep", func(line string) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "softdep" {
			return
		}
		name := strings.ReplaceAll(words[1], "-", "_")
		before := false
		for _, word := range words[2:] {
			if strings.HasSuffix(word, ":") {
				before = word == "pre:"
			} else if before {
				m.softNeeds[name] = append(m.softNeeds[name], strings.ReplaceAll(word, "-", "_"))
			}
		}
	})
	return m
}

func (m *moduleIndex) lines(name string, each func(string)) {
	file, err := os.Open(filepath.Join(m.directory, name))
	if err != nil {
		return
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		each(scanner.Text())
	}
}

func aliasKey(text string) string {
	key, _, _ := strings.Cut(text, ":")
	if strings.ContainsAny(key, "*?[") {
		return ""
	}
	return strings.ReplaceAll(key, "-", "_")
}

// named returns the modules that a name or an alias stands for.
func (m *moduleIndex) named(text string) []string {
	plain := strings.ReplaceAll(text, "-", "_")
	if m.files[plain] != "" || m.builtin[plain] {
		return []string{plain}
	}
	var found []string
	seen := map[string]bool{}
	for _, key := range []string{aliasKey(text), ""} {
		for _, a := range m.aliases[key] {
			if !seen[a.module] && (matches(a.pattern, text) || matches(strings.ReplaceAll(a.pattern, "-", "_"), plain)) {
				seen[a.module] = true
				found = append(found, strings.ReplaceAll(a.module, "-", "_"))
			}
		}
		if aliasKey(text) == "" {
			break
		}
	}
	return found
}

// load loads what a name or an alias stands for.
func (m *moduleIndex) load(text, parameters string) error {
	names := m.named(text)
	if len(names) == 0 {
		return errNoModule
	}
	var failure error
	for _, name := range names {
		if err := m.insert(name, parameters); err != nil && failure == nil {
			failure = err
		}
	}
	return failure
}

// insert loads a module and what it needs, once; whoever else asks meanwhile waits for that.
func (m *moduleIndex) insert(name, parameters string) error {
	if m.builtin[name] {
		return nil
	}
	path := m.files[name]
	if path == "" {
		return errNoModule
	}
	m.lock.Lock()
	loading, begun := m.loading[name]
	if !begun {
		loading = &moduleLoading{done: make(chan struct{})}
		m.loading[name] = loading
	}
	m.lock.Unlock()
	if begun {
		<-loading.done
		return loading.err
	}
	loading.err = m.insertWithNeeds(name, path, parameters)
	if loading.err != nil {
		m.lock.Lock()
		delete(m.loading, name)
		m.lock.Unlock()
	}
	close(loading.done)
	return loading.err
}

func (m *moduleIndex) insertWithNeeds(name, path, parameters string) error {
	// In a circle each would wait for the other.
	for _, need := range m.softNeeds[name] {
		if !leadsTo(need, name, map[string]bool{}, m.needs, m.softNeeds) {
			_ = m.insert(need, "")
		}
	}
	// modules.dep lists all of them, those that the others need last. It has no circles unless it is damaged.
	needs := m.needs[name]
	for i := len(needs) - 1; i >= 0; i-- {
		if leadsTo(needs[i], name, map[string]bool{}, m.needs) {
			continue
		}
		if err := m.insert(needs[i], ""); err != nil {
			return err
		}
	}
	if err := m.give(filepath.Join(m.directory, path), parameters); err != nil {
		return fmt.Errorf("loading the module %s: %w", name, err)
	}
	return nil
}

// leadsTo tells whether a module needs another one, over any number of others.
func leadsTo(from, to string, seen map[string]bool, kinds ...map[string][]string) bool {
	if from == to {
		return true
	}
	if seen[from] {
		return false
	}
	seen[from] = true
	for _, needs := range kinds {
		for _, need := range needs[from] {
			if leadsTo(need, to, seen, kinds...) {
				return true
			}
		}
	}
	return false
}

// finitModule gives a file to the kernel, which decompresses it if it can; of gzip we know as well.
func finitModule(path, parameters string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := syscall.BytePtrFromString(parameters)
	if err != nil {
		return err
	}
	flags := uintptr(0)
	if !strings.HasSuffix(path, ".ko") {
		flags = 4 // MODULE_INIT_COMPRESSED_FILE
	}
	_, _, code := syscall.Syscall(sysFinitModule, file.Fd(), uintptr(unsafe.Pointer(text)), flags)
	if code != 0 && code != syscall.EEXIST && strings.HasSuffix(path, ".gz") {
		return initModule(file, text)
	}
	if code != 0 && code != syscall.EEXIST {
		return code
	}
	return nil
}

func initModule(file *os.File, parameters *byte) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	stream, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	content, err := io.ReadAll(stream)
	if err != nil || len(content) == 0 {
		return fmt.Errorf("not compressed as its name says: %v", err)
	}
	_, _, code := syscall.Syscall(syscall.SYS_INIT_MODULE, uintptr(unsafe.Pointer(&content[0])),
		uintptr(len(content)), uintptr(unsafe.Pointer(parameters)))
	runtime.KeepAlive(content)
	if code != 0 && code != syscall.EEXIST {
		return code
	}
	return nil
}

// modprobeMain is what the kernel and people call to load a module.
func modprobeMain(arguments []string) int {
	quiet, all := false, false
	var words []string
	for _, argument := range arguments {
		switch {
		case argument == "-q":
			quiet = true
		case argument == "-a":
			all = true
		case !strings.HasPrefix(argument, "-"):
			words = append(words, argument)
		}
	}
	if len(words) == 0 {
		fmt.Fprintln(os.Stderr, "usage: modprobe [-q] MODULE [PARAMETER=VALUE...], or modprobe [-q] -a MODULE...")
		return 1
	}
	names, parameters := words[:1], strings.Join(words[1:], " ")
	if all {
		names, parameters = words, ""
	}
	modules := openModules()
	status := 0
	for _, name := range names {
		if err := modules.load(name, parameters); err != nil {
			if !quiet {
				fmt.Fprintf(os.Stderr, "modprobe: %s: %v\n", name, err)
			}
			status = 1
		}
	}
	return status
}

func kernelRelease() string {
	var names syscall.Utsname
	_ = syscall.Uname(&names)
	var text []byte
	for _, c := range names.Release {
		if c == 0 {
			break
		}
		text = append(text, byte(c))
	}
	return string(text)
}
