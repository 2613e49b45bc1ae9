// portforward: kubectl port-forward, over SPDY and, as kubectl does since 1.31, SPDY inside WebSocket.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

const portForwardPath = "/portForward/default/pod"

func checkPortForward(r *report, f *facade, protocol string) {
	what := func(s string) string { return fmt.Sprintf("%s, %s: %s", f.way.via, protocol, s) }
	var open *forwarder
	r.within(20*time.Second, what("port-forward opens"), func() (err error) {
		open, err = forward(f, protocol)
		return err
	})
	if open == nil {
		return
	}
	r.within(60*time.Second, what("eight forwarded connections echo, and end after half-close"), func() error { return open.echoes(8, 300_000) })
	r.within(20*time.Second, what("port-forward ends when it is told to"), open.end)
}

type forwarder struct {
	stop   chan struct{}
	over   chan error
	errors bytes.Buffer
	port   uint16
}

func portDialer(f *facade, protocol string) (httpstream.Dialer, error) {
	target := f.at(portForwardPath, url.Values{})
	if protocol == "WebSocket" {
		return portforward.NewSPDYOverWebsocketDialer(target, f.config())
	}
	rt, upgrader, err := spdy.RoundTripperFor(f.config())
	if err != nil {
		return nil, err
	}
	return spdy.NewDialer(upgrader, &http.Client{Transport: rt}, "POST", target), nil
}

func forward(f *facade, protocol string) (*forwarder, error) {
	dialer, err := portDialer(f, protocol)
	if err != nil {
		return nil, err
	}
	fw := &forwarder{stop: make(chan struct{}), over: make(chan error, 1)}
	ready := make(chan struct{})
	pf, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", echoPort)}, fw.stop, ready, io.Discard, &fw.errors)
	if err != nil {
		return nil, err
	}
	go func() { fw.over <- pf.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-fw.over:
		return nil, fmt.Errorf("over before it was ready: %v", err)
	case <-time.After(15 * time.Second):
		return nil, errors.New("not ready after 15 s")
	}
	ports, err := pf.GetPorts()
	if err != nil {
		return nil, err
	}
	fw.port = ports[0].Local
	return fw, nil
}

func (fw *forwarder) echoes(count int, size uint64) error {
	results := make(chan error, count)
	for i := range count {
		go func() { results <- fw.echo(uint64(100+i), size) }()
	}
	var all error
	for range count {
		all = errors.Join(all, <-results)
	}
	return all
}

// echo sends, half-closes, and only then expects the end.
func (fw *forwarder) echo(seed, size uint64) error {
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", fw.port))
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(50 * time.Second))
	sent, err := io.ReadAll(noise(seed, size))
	if err != nil {
		return err
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(sent)
		wrote <- errors.Join(err, c.(*net.TCPConn).CloseWrite())
	}()
	answer, err := io.ReadAll(c)
	if err = errors.Join(err, <-wrote); err != nil {
		return err
	}
	return echoed(sent, answer)
}

func (fw *forwarder) end() error {
	select {
	case err := <-fw.over:
		return fmt.Errorf("it was over before: %v", err)
	default:
	}
	close(fw.stop)
	if err := <-fw.over; err != nil {
		return err
	}
	if fw.errors.Len() > 0 {
		return errors.New(fw.errors.String())
	}
	return nil
}
