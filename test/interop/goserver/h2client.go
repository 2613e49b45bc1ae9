//go:build go1.24

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
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

// h2 is net/http's HTTP/2 client before the broker: all the checks of `client`, on streams of one connection, and CONNECT
// on streams to a server of its own.
func init() { commands["h2"] = h2 }

// connections counts what the transport dials.
type connections struct {
	sync.Mutex
	n int
}

func (k *checker) dialled(c *connections, n int) {
	if c.n != n {
		k.check("as few connections as can be", fmt.Errorf("%d were dialled, expected %d", c.n, n))
	}
}

func (c *connections) add() {
	c.Lock()
	c.n++
	c.Unlock()
}

func h2Transport(unix, proxy string, config *tls.Config, dialled *connections) *http.Transport {
	t := &http.Transport{Protocols: new(http.Protocols)}
	if unix != "" {
		t.Protocols.SetUnencryptedHTTP2(true)
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			dialled.add()
			var d net.Dialer
			return d.DialContext(ctx, "unix", unix)
		}
		return t
	}
	t.Protocols.SetHTTP2(true)
	t.DialTLSContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		dialled.add()
		d := tls.Dialer{Config: config}
		return d.DialContext(ctx, "tcp", strings.TrimPrefix(proxy, "https://"))
	}
	return t
}

// tunnel is a CONNECT stream as a net.Conn, as far as crypto/tls needs one.
type tunnel struct {
	io.Reader
	w *io.PipeWriter
	net.Conn
}

func (t tunnel) Read(b []byte) (int, error)       { return t.Reader.Read(b) }
func (t tunnel) Write(b []byte) (int, error)      { return t.w.Write(b) }
func (t tunnel) Close() error                     { return t.w.Close() }
func (t tunnel) SetDeadline(time.Time) error      { return nil }
func (t tunnel) SetReadDeadline(time.Time) error  { return nil }
func (t tunnel) SetWriteDeadline(time.Time) error { return nil }

func (k *checker) connect(ctx context.Context, scheme, to string) (*tunnel, *http.Response, error) {
	r, w := io.Pipe()
	request, err := http.NewRequestWithContext(ctx, "CONNECT", scheme+"://"+to, r)
	if err != nil {
		return nil, nil, err
	}
	response, err := k.client.Transport.RoundTrip(request)
	if err != nil {
		return nil, nil, err
	}
	return &tunnel{Reader: response.Body, w: w}, response, nil
}

// far is the server at the far end: what it does is said by the first byte; how its client ended is told in `ends`.
type far struct {
	net.Listener
	ends chan error
}

func (f far) serve() {
	for {
		c, err := f.Accept()
		if err != nil {
			return
		}
		go f.one(c.(*net.TCPConn))
	}
}

func (f far) one(c *net.TCPConn) {
	defer c.Close()
	var first [1]byte
	if _, err := io.ReadFull(c, first[:]); err != nil {
		f.ends <- err
		return
	}
	switch first[0] {
	case 'e': // echoes, and goes on after the other direction has ended
		io.Copy(c, c)
		c.Write([]byte("the end"))
		c.CloseWrite()
	case 'r': // a part, and a reset
		c.Write([]byte("part"))
		time.Sleep(100 * time.Millisecond)
		c.SetLinger(0)
	case 'w': // waits for the end and tells of it
		_, err := io.Copy(io.Discard, c)
		f.ends <- err
	case 's': // speaks first is for those who wait: answers at once
		c.Write([]byte("spoken"))
		io.Copy(io.Discard, c)
	}
}

// end is how the far end's client ended, nil for an end of its direction.
func (f far) end() error {
	select {
	case err := <-f.ends:
		return err
	case <-time.After(10 * time.Second):
		return errors.New("nothing in 10 s")
	}
}

func (k *checker) echo(scheme, to string, size int) error {
	t, response, err := k.connect(context.Background(), scheme, to)
	if err != nil {
		return err
	}
	if response.StatusCode != 200 {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	data := make([]byte, size)
	rand.Read(data)
	go func() {
		t.Write([]byte("e"))
		t.Write(data)
		t.Close()
	}()
	got, err := io.ReadAll(t)
	if err == nil && !bytes.Equal(got, append(data, "the end"...)) {
		err = fmt.Errorf("%d bytes came back of %d, or others", len(got), size+7)
	}
	return err
}

func (k *checker) tunnels(scheme string, f far) {
	to := f.Addr().String()
	k.check("a tunnel", k.echo(scheme, to, 0))
	k.check("a tunnel of 16 MiB", k.echo(scheme, to, 16<<20))
	var wg sync.WaitGroup
	errs := make(chan error, 64)
	for i := 0; i < 64; i++ {
		wg.Add(1)
		go func() { defer wg.Done(); errs <- k.echo(scheme, to, 1<<20) }()
	}
	wg.Wait()
	for i := 0; i < 64; i++ {
		k.check("64 tunnels at once", <-errs)
	}

	t, _, err := k.connect(context.Background(), scheme, to)
	k.check("a tunnel to be reset", err)
	if err == nil {
		t.Write([]byte("r"))
		got, err := io.ReadAll(t)
		if err == nil || string(got) != "part" {
			k.check("the destination's reset", fmt.Errorf("read %q and %v", got, err))
		}
		t.Close()
	}
	t, response, err := k.connect(context.Background(), scheme, to)
	k.check("a tunnel to be given up", err)
	if err == nil {
		t.Write([]byte("w"))
		time.Sleep(200 * time.Millisecond)
		response.Body.Close() // RST_STREAM
		if err := f.end(); !errors.Is(err, syscall.ECONNRESET) {
			k.check("the client's reset", fmt.Errorf("the destination saw %v", err))
		}
	}
	t, _, err = k.connect(context.Background(), scheme, to)
	k.check("a tunnel to be ended", err)
	if err == nil {
		t.Write([]byte("w"))
		t.Close()
		k.check("the client's end", f.end())
		io.ReadAll(t)
	}
	host, _, _ := net.SplitHostPort(to)
	_, response, err = k.connect(context.Background(), scheme, net.JoinHostPort(host, "10251"))
	if err == nil && response.StatusCode != 403 {
		err = fmt.Errorf("status %d", response.StatusCode)
	}
	if err == nil && !strings.HasPrefix(response.Header.Get("Proxy-Status"), "hawser; error=http_request_denied; details=") {
		err = fmt.Errorf("Proxy-Status %q", response.Header.Get("Proxy-Status"))
	}
	k.check("a tunnel that is not allowed", err)
}

// kubelet speaks TLS inside a tunnel, as kube-apiserver would.
func (k *checker) kubelet(scheme, to, ca, cert, key string) error {
	config, err := tlsConfig(ca, cert, key)
	if err != nil {
		return err
	}
	t, response, err := k.connect(context.Background(), scheme, to)
	if err != nil || response.StatusCode != 200 {
		return fmt.Errorf("%v %v", response, err)
	}
	config.ServerName, _, _ = net.SplitHostPort(to)
	inside := tls.Client(t, config)
	defer inside.Close()
	client := &http.Client{Transport: &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return inside, nil }}}
	answer, err := client.Get("https://" + to + "/ok")
	if err != nil {
		return err
	}
	text, err := io.ReadAll(answer.Body)
	if err == nil && string(text) != "ok\n" {
		err = fmt.Errorf("found %q", text)
	}
	return err
}

func tlsConfig(ca, cert, key string) (*tls.Config, error) {
	config := &tls.Config{}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	config.RootCAs = x509.NewCertPool()
	config.RootCAs.AppendCertsFromPEM(pem)
	pair, err := tls.LoadX509KeyPair(cert, key)
	config.Certificates = []tls.Certificate{pair}
	return config, err
}

func h2(args []string) error {
	fs := flag.NewFlagSet("h2", flag.ExitOnError)
	target := fs.String("target", "", "scheme://host:port behind the broker; http for a Unix socket, https for a proxy")
	unix := fs.String("unix", "", "the broker's Unix socket")
	proxy := fs.String("proxy", "", "or its URL")
	ca := fs.String("ca", "", "CA of the broker")
	cert := fs.String("cert", "", "client certificate")
	key := fs.String("key", "", "client key")
	listen := fs.String("listen", "", "where the far end of tunnels listens; empty: no tunnels")
	kubelet := fs.String("kubelet", "", "TLS server at the end of a tunnel, host:port")
	kubeletCA := fs.String("kubelet-ca", "", "its CA")
	kubeletCert := fs.String("kubelet-cert", "", "client certificate for it")
	kubeletKey := fs.String("kubelet-key", "", "its key")
	fs.Parse(args)

	var config *tls.Config
	if *ca != "" {
		var err error
		if config, err = tlsConfig(*ca, *cert, *key); err != nil {
			return err
		}
		config.ServerName = "127.0.0.1"
		config.NextProtos = []string{"h2"}
	}
	dialled := &connections{}
	k := &checker{client: &http.Client{Transport: h2Transport(*unix, *proxy, config, dialled), Timeout: 90 * time.Second}, target: *target}
	scheme := strings.SplitN(*target, ":", 2)[0]
	k.all()
	k.dialled(dialled, 1)
	if *listen != "" {
		l, err := net.Listen("tcp", *listen)
		if err != nil {
			return err
		}
		f := far{l, make(chan error, 16)}
		go f.serve()
		k.tunnels(scheme, f)
		k.dialled(dialled, 3) // net/http has a connection for each authority: the far end, and the one that is not allowed
		l.Close()
	}
	if *kubelet != "" {
		k.check("TLS inside a tunnel", k.kubelet(scheme, *kubelet, *kubeletCA, *kubeletCert, *kubeletKey))
	}
	if k.failed > 0 {
		return fmt.Errorf("%d checks failed", k.failed)
	}
	return nil
}
