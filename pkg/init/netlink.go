package main

// Network interfaces by rtnetlink: up, made, moved to another namespace.

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const (
	attributeName      = 3  // IFLA_IFNAME
	attributeLinkInfo  = 18 // IFLA_LINKINFO
	attributeNamespace = 19 // IFLA_NET_NS_PID
	infoKind           = 1  // IFLA_INFO_KIND
	infoData           = 2  // IFLA_INFO_DATA
	vethPeer           = 1  // VETH_INFO_PEER
)

// attribute encodes a netlink attribute, padded.
func attribute(kind uint16, content []byte) []byte {
	data := make([]byte, 4, 4+len(content)+3)
	order.PutUint16(data, uint16(4+len(content)))
	order.PutUint16(data[2:], kind)
	data = append(data, content...)
	for len(data)%4 != 0 {
		data = append(data, 0)
	}
	return data
}

func text(s string) []byte { return append([]byte(s), 0) }

func number(n uint32) []byte {
	data := make([]byte, 4)
	order.PutUint32(data, n)
	return data
}

// linkMessage encodes a request about an interface; index 0 is one that is to be made.
func linkMessage(kind, flags uint16, index int, set, change uint32, attributes ...[]byte) []byte {
	data := make([]byte, syscall.NLMSG_HDRLEN+syscall.SizeofIfInfomsg)
	order.PutUint16(data[4:], kind)
	order.PutUint16(data[6:], flags|syscall.NLM_F_REQUEST|syscall.NLM_F_ACK)
	order.PutUint32(data[8:], 1)
	info := data[syscall.NLMSG_HDRLEN:]
	order.PutUint32(info[4:], uint32(index))
	order.PutUint32(info[8:], set)
	order.PutUint32(info[12:], change)
	for _, a := range attributes {
		data = append(data, a...)
	}
	order.PutUint32(data, uint32(len(data)))
	return data
}

// request sends a message and waits for its acknowledgement.
func request(message []byte) error {
	socket, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer syscall.Close(socket)
	if err := syscall.Sendto(socket, message, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return err
	}
	buffer := make([]byte, 16<<10)
	for {
		n, _, err := syscall.Recvfrom(socket, buffer, 0)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		answers, err := syscall.ParseNetlinkMessage(buffer[:n])
		if err != nil {
			return err
		}
		for _, answer := range answers {
			if answer.Header.Type == syscall.NLMSG_ERROR && len(answer.Data) >= 4 {
				if code := int32(order.Uint32(answer.Data)); code != 0 {
					return syscall.Errno(-code)
				}
				return nil
			}
		}
	}
}

func interfaceUp(name string) error {
	found, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	return request(linkMessage(syscall.RTM_NEWLINK, 0, found.Index, syscall.IFF_UP, syscall.IFF_UP))
}

func loopbackUp() error { return interfaceUp("lo") }

// newInterface encodes the making of an interface, and of its other end if it is a veth.
func newInterface(name, kind, peer string) []byte {
	info := attribute(infoKind, text(kind))
	if peer != "" {
		other := append(make([]byte, syscall.SizeofIfInfomsg), attribute(attributeName, text(peer))...)
		info = append(info, attribute(infoData, attribute(vethPeer, other))...)
	}
	return linkMessage(syscall.RTM_NEWLINK, syscall.NLM_F_CREATE|syscall.NLM_F_EXCL, 0, 0, 0,
		attribute(attributeName, text(name)), attribute(attributeLinkInfo, info))
}

// interfaceSpec is an interface as runtime.json has it.
type interfaceSpec struct {
	Name         string `json:"name"`
	Add          string `json:"add"`
	Peer         string `json:"peer"`
	CreateInRoot bool   `json:"createInRoot"`
}

// kind is the type of interface to make; empty is one that is there.
func (i interfaceSpec) kind() string {
	if i.Add == "" && i.Peer != "" {
		return "veth"
	}
	return i.Add
}

// give makes the interface for a process, or moves it to its network namespace.
func (i interfaceSpec) give(pid int) error {
	kind := i.kind()
	if kind != "" && kind != "veth" && !i.CreateInRoot {
		err := inNetworkOf(pid, func() error { return request(newInterface(i.Name, kind, i.Peer)) })
		return explained(err, "making the interface %s (%s) in the container", i.Name, kind)
	}
	if kind != "" {
		if err := i.makeInRoot(kind); err != nil {
			return fmt.Errorf("making the interface %s (%s): %w", i.Name, kind, err)
		}
	}
	found, err := awaitInterface(i.Name)
	if err != nil {
		return fmt.Errorf("there is no interface %s: %w", i.Name, err)
	}
	message := linkMessage(syscall.RTM_NEWLINK, 0, found.Index, 0, 0,
		attribute(attributeNamespace, number(uint32(pid))))
	return explained(request(message), "moving the interface %s", i.Name)
}

// makeInRoot makes an interface in the system's own namespace. One that was made for an earlier run
// of a container, and is still there, is removed before; none that others have made.
func (i interfaceSpec) makeInRoot(kind string) error {
	err := request(newInterface(i.Name, kind, i.Peer))
	if errors.Is(err, syscall.EEXIST) {
		removed := false
		for _, name := range []string{i.Name, i.Peer} {
			if name != "" && exists(interfaceMark(name)) {
				if found, missing := net.InterfaceByName(name); missing == nil {
					removed = request(linkMessage(syscall.RTM_DELLINK, 0, found.Index, 0, 0)) == nil || removed
				}
			}
		}
		if removed {
			err = request(newInterface(i.Name, kind, i.Peer))
		}
	}
	if err == nil {
		for _, name := range []string{i.Name, i.Peer} {
			if name != "" {
				_ = makeFile(interfaceMark(name))
			}
		}
	}
	return err
}

// interfaceMark is a file that says that an interface was made here.
func interfaceMark(name string) string { return "/run/containers/interfaces/" + filepath.Base(name) }

// awaitInterface waits a little: one that an earlier container had comes back in a moment.
func awaitInterface(name string) (*net.Interface, error) {
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		found, err := net.InterfaceByName(name)
		if err == nil || time.Now().After(end) {
			return found, err
		}
	}
}

// inNetworkOf runs a function in the network namespace of a process, in a thread that then ends.
func inNetworkOf(pid int, work func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread is not used again
		namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
		if err != nil {
			done <- err
			return
		}
		defer namespace.Close()
		if _, _, code := syscall.RawSyscall(sysSetns, namespace.Fd(), syscall.CLONE_NEWNET, 0); code != 0 {
			done <- code
			return
		}
		done <- work()
	}()
	return <-done
}

func explained(err error, format string, values ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(values, err)...)
}
