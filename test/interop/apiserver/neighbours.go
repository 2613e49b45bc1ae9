// neighbours: servers beside the kubelet that are not like it.
package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

const bannerText = "SSH-2.0-speaks-first\r\n"

// serveBanner stands for servers that do not wait for their client, such as SSH's; it echoes afterwards.
func serveBanner(address string) error {
	if address == "" {
		return nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.WriteString(c, bannerText)
				io.Copy(c, c)
			}()
		}
	}()
	return nil
}

// serveDeaf makes an address that is silent, like a machine that is gone: a listener whose queue is full, so that the
// kernel drops every SYN. A connection that nobody accepts keeps its place in the queue, closed or not.
func serveDeaf(address string) error {
	if address == "" {
		return nil
	}
	tcp, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	at := &syscall.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(tcp.IP.To4())}
	if err := syscall.Bind(fd, at); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		return os.NewSyscallError("listen", err)
	}
	for range 16 {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		_, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		cancel()
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errors.New(address + ": its queue does not fill")
}
