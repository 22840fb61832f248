package main

// The frames that the agent and the host exchange; docs/agent.md describes them.

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	agentProtocol = 1
	frameHeader   = 8
	largestFrame  = 16 << 10
	// So many zeros in a row are in no frame: they end whatever came before.
	resetLength = frameHeader + largestFrame
)

// The kinds of frames. A zero is padding between frames.
const (
	frameReset   = 0x00
	frameHello   = 0x01
	frameRequest = 0x02
	frameInput   = 0x03
	frameSignal  = 0x04
	frameSize    = 0x05
	frameStarted = 0x10
	frameOutput  = 0x11
	frameErrors  = 0x12
	frameCredit  = 0x13
	frameEnd     = 0x14
	// Not on the wire: what came was no frame.
	frameDamaged = 0xff
)

// encodeFrame returns the bytes of a frame, which has at most largestFrame bytes of payload.
func encodeFrame(kind byte, payload []byte) ([]byte, error) {
	if len(payload) > largestFrame {
		return nil, fmt.Errorf("a frame of %d bytes is too long", len(payload))
	}
	data := make([]byte, frameHeader, frameHeader+len(payload))
	binary.BigEndian.PutUint32(data, uint32(kind)<<24|uint32(len(payload)))
	data = append(data, payload...)
	binary.BigEndian.PutUint32(data[4:], frameChecksum(data))
	return data, nil
}

// frameChecksum is that of a frame without its checksum.
func frameChecksum(data []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(data[:4]), crc32.IEEETable, data[frameHeader:])
}

// frameParser cuts bytes into frames. It holds at most one frame.
type frameParser struct {
	pending []byte
	zeros   int
	// After damage only a reset counts: what looks like a frame may be data of another one.
	lost bool
}

// feed hands over each whole frame; its payload may not be kept. A reset and damage come as frames
// without payload.
func (p *frameParser) feed(data []byte, handle func(kind byte, payload []byte)) {
	for _, b := range data {
		if b != 0 {
			p.zeros = 0
		} else if p.zeros++; p.zeros >= resetLength {
			if p.zeros == resetLength {
				handle(frameReset, nil)
			}
			p.pending, p.lost = p.pending[:0], false
			continue
		}
		if p.lost || (b == 0 && len(p.pending) == 0) {
			continue
		}
		p.pending = append(p.pending, b)
		if len(p.pending) < frameHeader {
			continue
		}
		length := int(binary.BigEndian.Uint32(p.pending) & 0xffffff)
		whole := len(p.pending) == frameHeader+length
		if length > largestFrame || (whole && binary.BigEndian.Uint32(p.pending[4:]) != frameChecksum(p.pending)) {
			p.pending, p.lost = p.pending[:0], true
			handle(frameDamaged, nil)
		} else if whole {
			kind, payload := p.pending[0], p.pending[frameHeader:]
			p.pending = p.pending[:0]
			handle(kind, payload)
		}
	}
}
