// The destinations: what stands behind the broker.
package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

const bannerText = "220 ready\r\n"

// serve answers connections on a free port of the address.
func serve(host string, handle func(*net.TCPConn)) (string, func(), error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c.(*net.TCPConn))
			}()
		}
	}()
	return l.Addr().String(), func() { l.Close() }, nil
}

func echo(c *net.TCPConn) { io.Copy(c, c) }

func banner(c *net.TCPConn) {
	io.WriteString(c, bannerText)
	io.Copy(c, c)
}

// noise is the same for everybody who knows where it begins.
func noise(p []byte, at uint64) {
	for i := range p {
		x := at + uint64(i)
		p[i] = byte(x*2654435761>>13) ^ byte(x>>3)
	}
}

// blob sends as many bytes of noise as eight bytes ask for, and ends.
func blob(c *net.TCPConn) {
	var ask [8]byte
	if _, err := io.ReadFull(c, ask[:]); err != nil {
		return
	}
	left, at := binary.BigEndian.Uint64(ask[:]), uint64(0)
	room := make([]byte, 64<<10)
	for left > 0 {
		n := min(left, uint64(len(room)))
		noise(room[:n], at)
		if _, err := c.Write(room[:n]); err != nil {
			return
		}
		left, at = left-n, at+n
	}
}

// digest reads as many bytes as eight bytes announce and answers with their sum.
func digest(c *net.TCPConn) {
	var ask [8]byte
	if _, err := io.ReadFull(c, ask[:]); err != nil {
		return
	}
	sum := sha256.New()
	if _, err := io.CopyN(sum, c, int64(binary.BigEndian.Uint64(ask[:]))); err == nil {
		c.Write(sum.Sum(nil))
	}
}

// keeps tells what came before the client's end, whatever end it was.
func keeps(got chan<- string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		all, err := io.ReadAll(c)
		end := "its end"
		if err != nil {
			end = err.Error()
		}
		got <- fmt.Sprintf("%d bytes and %s", len(all), end)
	}
}

// stands reads nothing before it is let go.
func stands(until <-chan struct{}) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		c.SetReadBuffer(4096)
		<-until
	}
}

// deaf is an address where connecting takes for ever: its queue is full.
func deaf(host string) (string, func(), error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return "", nil, err
	}
	var sa syscall.SockaddrInet4
	copy(sa.Addr[:], net.ParseIP(host).To4())
	if err := syscall.Bind(fd, &sa); err != nil {
		return "", nil, err
	}
	if err := syscall.Listen(fd, 0); err != nil {
		return "", nil, err
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		return "", nil, err
	}
	address := net.JoinHostPort(host, fmt.Sprint(bound.(*syscall.SockaddrInet4).Port))
	var held []net.Conn
	for {
		c, err := net.DialTimeout("tcp", address, 300*time.Millisecond)
		if err != nil {
			break
		}
		held = append(held, c)
	}
	return address, func() {
		for _, c := range held {
			c.Close()
		}
		syscall.Close(fd)
	}, nil
}
