package main

// VMware: guestinfo variables, by the messages that its tools send through the backdoor.

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

type vmware struct {
	// available tells whether the backdoor is there; elsewhere using it would crash.
	available func() bool
	// call makes one call of the backdoor.
	call func(*backdoorRegisters)
}

func newVMware() *vmware { return &vmware{hasBackdoor, callBackdoor} }

func (p *vmware) name() string { return "VMWARE" }

func (p *vmware) ask(context.Context) (*metadata, error) {
	if !p.available() {
		return nil, nil
	}
	about, err := p.variable("guestinfo.metadata")
	if err != nil {
		return nil, err
	}
	userdata, err := p.variable("guestinfo.userdata")
	if err != nil || about == nil && userdata == nil {
		return nil, err
	}
	found, err := readCloudInit(about, nil)
	if err != nil {
		return nil, err
	}
	found.userdata = userdata
	found.keep("metadata", about)
	return found, nil
}

// variable returns the value of a variable, decoded, or nothing if it is not set.
func (p *vmware) variable(name string) ([]byte, error) {
	value, there, err := p.infoGet(name)
	// Some tools unset a variable with a blank or an empty YAML document.
	if err != nil || !there || strings.TrimSpace(value) == "" || strings.TrimSpace(value) == "---" {
		return nil, err
	}
	encoding, _, err := p.infoGet(name + ".encoding")
	if err != nil {
		return nil, err
	}
	decoded, err := decodeVariable(value, strings.TrimSpace(encoding))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return decoded, nil
}

func decodeVariable(value, encoding string) ([]byte, error) {
	var packed bool
	switch encoding {
	case "":
		return []byte(value), nil
	case "base64", "b64":
	case "gzip+base64", "gz+b64":
		packed = true
	default:
		return nil, fmt.Errorf("there is no encoding %q", encoding)
	}
	data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	if err != nil || !packed {
		return data, err
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	data, err = io.ReadAll(io.LimitReader(unpacked, largestFile+1))
	if err == nil && len(data) > largestFile {
		err = errors.New("it is larger than 16 MiB")
	}
	return data, err
}

// infoGet asks for a variable; the answer begins with 1 and a blank, or 0 if it is not set.
func (p *vmware) infoGet(name string) (value string, there bool, err error) {
	answer, err := p.message("info-get " + name)
	if err != nil {
		return "", false, err
	}
	status, value, _ := strings.Cut(answer, " ")
	if status != "1" {
		return "", false, nil
	}
	return value, true, nil
}

// backdoorRegisters are the registers of a call, before and after it.
type backdoorRegisters struct{ ax, bx, cx, dx, si, di uint32 }

const (
	backdoorMagic = 0x564d5868
	backdoorPort  = 0x5658
	// The protocol of messages, and its steps.
	messageCommand  = 30
	messageProtocol = 0x49435052
	withCookies     = 1 << 31
	openStep        = 0
	sendLength      = 1
	sendPart        = 2
	receiveLength   = 3
	receivePart     = 4
	receiveEnd      = 5
	closeStep       = 6
	// What the upper half of cx has after a call.
	messageSuccess = 1 << 0
	messageReply   = 1 << 1
)

var errBackdoor = errors.New("the hypervisor does not take messages")

// message sends a message and returns the reply. Text goes in parts of four bytes, each in a
// register: slower than by a port of its own, and with no other instruction than IN.
func (p *vmware) message(text string) (string, error) {
	r := backdoorRegisters{bx: messageProtocol | withCookies}
	if status := p.step(&r, openStep, 0); status&messageSuccess == 0 {
		return "", errBackdoor
	}
	channel, cookieSI, cookieDI := r.dx>>16, r.si, r.di
	do := func(step, bx uint32) (backdoorRegisters, uint32) {
		r := backdoorRegisters{bx: bx, si: cookieSI, di: cookieDI}
		status := p.step(&r, step, channel)
		return r, status
	}
	defer do(closeStep, 0)
	if _, status := do(sendLength, uint32(len(text))); status&messageSuccess == 0 {
		return "", errBackdoor
	}
	for at := 0; at < len(text); at += 4 {
		var part [4]byte
		copy(part[:], text[at:])
		if _, status := do(sendPart, binary.LittleEndian.Uint32(part[:])); status&messageSuccess == 0 {
			return "", errBackdoor
		}
	}
	about, status := do(receiveLength, 0)
	if status&messageSuccess == 0 || status&messageReply == 0 {
		return "", errBackdoor
	}
	length := about.bx
	if length > largestFile {
		return "", fmt.Errorf("a reply of %d bytes", length)
	}
	var answer []byte
	for uint32(len(answer)) < length {
		part, status := do(receivePart, messageSuccess)
		if status&messageSuccess == 0 {
			return "", errBackdoor
		}
		answer = binary.LittleEndian.AppendUint32(answer, part.bx)
	}
	if _, status := do(receiveEnd, messageSuccess); status&messageSuccess == 0 {
		return "", errBackdoor
	}
	return string(answer[:length]), nil
}

// step makes a call, and returns its status.
func (p *vmware) step(r *backdoorRegisters, step, channel uint32) uint32 {
	r.ax = backdoorMagic
	r.cx = messageCommand | step<<16
	r.dx = backdoorPort | channel<<16
	p.call(r)
	return r.cx >> 16
}
