// death: a kubelet that is killed while it serves. Whoever was reading from it must be told; a cut log or session must never
// look like a complete one.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// victim is one transfer. It calls begun when the first bytes are there, and returns how it ended for its reader.
type victim struct {
	what string
	run  func(begun func()) error
}

func runDeath(arguments []string) error {
	var w way
	set := flag.NewFlagSet("death", flag.ExitOnError)
	w.flags(set)
	pid := set.Int("pid", 0, "the kubelet's process id")
	set.Parse(arguments)
	if err := w.open(); err != nil {
		return err
	}
	f, err := newFacade(&w)
	if err != nil {
		return err
	}
	defer f.close()

	var r report
	var begun, over sync.WaitGroup
	killed := make(chan struct{})
	for _, v := range victims(&w, f) {
		begun.Add(1)
		over.Go(func() {
			done := make(chan error, 1)
			first := sync.OnceFunc(begun.Done)
			go func() { done <- v.run(first) }()
			r.check(fmt.Sprintf("%s: %s is told", w.via, v.what), told(done, killed))
			first()
		})
	}
	begun.Wait()
	time.Sleep(200 * time.Millisecond) // in the middle of things
	// The kubelet handles no signal: it is gone at once, and bash does not tell about this one.
	if err := syscall.Kill(*pid, syscall.SIGTERM); err != nil {
		return os.NewSyscallError("kill", err)
	}
	close(killed)
	over.Wait()
	return r.end()
}

// told expects an error, after the kubelet's death and not long after.
func told(done chan error, killed chan struct{}) error {
	select {
	case err := <-done:
		return fmt.Errorf("over before the kubelet was killed: %v", err)
	case <-killed:
	}
	select {
	case err := <-done:
		if err == nil {
			return errors.New("a clean end")
		}
		return nil
	case <-time.After(20 * time.Second):
		return errors.New("not told within 20 s")
	}
}

func victims(w *way, f *facade) []victim {
	list := []victim{
		{"a log over HTTP/1.1", func(begun func()) error { return dyingLog(*w, "HTTP/1.1", begun) }},
		{"exec over WebSocket", func(begun func()) error { return dyingExec(f, "WebSocket", begun) }},
		{"port-forward over SPDY", func(begun func()) error { return dyingPort(f, "SPDY", begun) }},
		{"port-forward over WebSocket", func(begun func()) error { return dyingPort(f, "WebSocket", begun) }},
	}
	if !w.http1 && w.via != "forward" {
		list = append(list, victim{"a log over HTTP/2", func(begun func()) error { return dyingLog(*w, "HTTP/2.0", begun) }})
	}
	// client-go takes any end of a SPDY connection for the end of the command (measured with -via direct), so the upgraded
	// connection itself is asked. In the clear on a Unix socket nothing tells a cut from an end, so it is not asked there.
	if w.via != "forward" || strings.HasPrefix(w.broker, "tls:") {
		list = append(list, victim{"the connection under SPDY", func(begun func()) error { return dyingUpgrade(w, begun) }})
	}
	return list
}

func dyingLog(w way, protocol string, begun func()) error {
	response, err := openLog(w, protocol, "endless")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	reader := bufio.NewReader(response.Body)
	for i := uint64(0); ; i++ {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // a clean end, as net/http tells it
		}
		if err != nil {
			return err
		}
		if err := sameLine(i, line); err != nil {
			return err
		}
		begun()
	}
}

func dyingExec(f *facade, protocol string, begun func()) error {
	return (&command{argv: []string{"ticks"}, out: &lines{first: begun}}).run(f, protocol)
}

func dyingPort(f *facade, protocol string, begun func()) error {
	fw, err := forward(f, protocol)
	if err != nil {
		return err
	}
	begun()
	return <-fw.over
}

// dyingUpgrade makes the request by hand and reads what follows the 101 to its end.
func dyingUpgrade(w *way, begun func()) error {
	c, watch, err := dialForUpgrade(w)
	if err != nil {
		return err
	}
	defer c.Close()
	target := w.location(execPath)
	target.RawQuery = (&command{argv: []string{"ticks"}, out: io.Discard}).query().Encode()
	request, err := http.NewRequest("POST", target.String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "SPDY/3.1")
	request.Header.Set("X-Stream-Protocol-Version", "v4.channel.k8s.io")
	if err := request.Write(c); err != nil {
		return err
	}
	reader := bufio.NewReader(c)
	response, err := http.ReadResponse(reader, request)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("status %s, expected 101", response.Status)
	}
	begun()
	_, err = io.Copy(io.Discard, reader)
	return watch.ending(err)
}

// dialForUpgrade makes the one TLS connection of this way itself, to watch the records below it.
func dialForUpgrade(w *way) (net.Conn, *recordWatch, error) {
	config, err := w.tlsConfig()
	if err != nil {
		return nil, nil, err
	}
	config.MaxVersion = tls.VersionTLS12
	dial, server := w.dial, w.node
	if w.via == "forward" {
		server = strings.TrimPrefix(w.broker, "tls:")
		dial = (&net.Dialer{}).DialContext
	}
	raw, err := dial(context.Background(), "tcp", server)
	if err != nil {
		return nil, nil, err
	}
	watch := &recordWatch{Conn: raw}
	config.ServerName, _, _ = net.SplitHostPort(server)
	var c net.Conn = tls.Client(watch, config)
	if w.via == "forward" {
		c = &absoluteConn{Conn: c, origin: "https://" + w.node}
	}
	return c, watch, nil
}
