// container_port: the one port that the pod has, and what answers there.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
)

// PortForward connects to a port that only this pod has: it answers with what it was sent, and when the sender has
// half-closed, with one more line that says how much that was.
func (container) PortForward(_ context.Context, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	if port != echoPort {
		return fmt.Errorf("nothing listens on port %d", port)
	}
	pod, err := newEchoServer()
	if err != nil {
		return err
	}
	c, err := net.Dial("tcp", pod)
	if err != nil {
		return err
	}
	defer c.Close()
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(c, stream)
		sent <- errors.Join(err, c.(*net.TCPConn).CloseWrite())
	}()
	_, err = io.Copy(stream, c)
	return errors.Join(err, <-sent)
}

const (
	echoPort   = 7
	echoTotals = "\nthat was %d bytes\n"
)

// newEchoServer serves one connection.
func newEchoServer() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() {
		defer listener.Close()
		c, err := listener.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		n, err := io.Copy(c, c)
		if err == nil {
			fmt.Fprintf(c, echoTotals, n)
		}
	}()
	return listener.Addr().String(), nil
}

// echoed checks what PortForward's echo answers to sent bytes.
func echoed(sent, answer []byte) error {
	want := append(bytes.Clone(sent), fmt.Sprintf(echoTotals, len(sent))...)
	if !bytes.Equal(answer, want) {
		return fmt.Errorf("got %d bytes, expected %d; equal up to %d", len(answer), len(want), equalUpTo(answer, want))
	}
	return nil
}

func equalUpTo(a, b []byte) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return i
}
