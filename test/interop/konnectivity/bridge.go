// bridge: what kube-apiserver does with a tunnel to a kubelet, on a route that ends its TLS. Tunnels by the library (a gRPC
// connection each), by hand (all on one stream), and as CONNECT on the streams of one connection of net/http's; in them
// crypto/tls and net/http.
package main

import (
	"bytes"
	"context"
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
	"sync/atomic"
	"time"
)

type bridge struct {
	way
	bridgeCA, kubelet, wrong, strangerCert, strangerKey string
}

func runBridge(arguments []string) error {
	var b bridge
	set := flag.NewFlagSet("konnectivity", flag.ExitOnError)
	b.flags(set)
	set.StringVar(&b.bridgeCA, "bridge-ca", "", "CA of what is shown inside")
	set.StringVar(&b.kubelet, "kubelet", "", "HOST:PORT")
	set.StringVar(&b.wrong, "wrong", "", "HOST:PORT of one that can not prove itself")
	set.StringVar(&b.strangerCert, "stranger-cert", "", "certificate inside that is not let in")
	set.StringVar(&b.strangerKey, "stranger-key", "", "its key")
	drain := set.Bool("drain", false, "says ready, waits for the broker to drain, and judges that")
	half := set.Bool("half-close", false, "a client that ends its direction and takes nothing more of its answer; clientIdleTimeoutMs is 1000")
	set.Parse(arguments)
	shared, err := b.open(context.Background())
	if err != nil {
		return err
	}
	defer shared.connection.Close()
	streams := b.connectTransport()
	defer streams.CloseIdleConnections()
	over := func(ctx context.Context, address string) (net.Conn, error) { return connectOver(streams, address) }
	var r report
	if *half {
		r.within(60*time.Second, "who ends its direction and takes nothing more is let go of", func(ctx context.Context) error {
			return b.halfCloses(ctx, streams)
		})
		return r.end()
	}
	if *drain {
		b.drains(&r, map[string]dialFunc{"a gRPC connection each": b.dial, "one Proxy stream": shared.connect, "CONNECT on streams": over})
		return r.end()
	}
	b.checks(&r, "a gRPC connection each", b.dial)
	b.checks(&r, "one Proxy stream", shared.connect)
	b.checks(&r, "CONNECT on streams", over)
	return r.end()
}

// -- tunnels

// pipe is a tunnel as a net.Conn, as far as crypto/tls and net/http need one.
type pipe struct {
	io.Reader
	io.WriteCloser
	net.Conn
}

func (p pipe) Read(b []byte) (int, error)       { return p.Reader.Read(b) }
func (p pipe) Write(b []byte) (int, error)      { return p.WriteCloser.Write(b) }
func (p pipe) Close() error                     { return p.WriteCloser.Close() }
func (p pipe) SetDeadline(time.Time) error      { return nil }
func (p pipe) SetReadDeadline(time.Time) error  { return nil }
func (p pipe) SetWriteDeadline(time.Time) error { return nil }

var randoms atomic.Int64

// connReader and connWriter are the two halves of a connection on a stream by hand.
type connReader struct {
	*conn
	rest []byte
}

func (c *connReader) Read(b []byte) (int, error) {
	for len(c.rest) == 0 {
		piece, open := <-c.in
		if !open {
			return 0, io.EOF
		}
		c.rest = piece
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

type connWriter struct{ *conn }

func (c connWriter) Write(b []byte) (int, error) {
	return len(b), c.calls.data(c.id, bytes.Clone(b))
}

func (c connWriter) Close() error { return c.calls.closeRequest(c.id) }

func (s *calls) connect(ctx context.Context, address string) (net.Conn, error) {
	c, err := s.dial(ctx, randoms.Add(1), address)
	if err != nil {
		return nil, err
	}
	return pipe{Reader: &connReader{conn: c}, WriteCloser: connWriter{c}}, nil
}

func (b *bridge) connectTransport() *http.Transport {
	t := &http.Transport{Protocols: new(http.Protocols)}
	if b.unix != "" {
		t.Protocols.SetUnencryptedHTTP2(true)
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", b.unix)
		}
		return t
	}
	t.Protocols.SetHTTP2(true)
	t.DialTLSContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		config, err := inside(b.ca, b.cert, b.key, "h2")
		if err != nil {
			return nil, err
		}
		d := tls.Dialer{Config: config}
		return d.DialContext(ctx, "tcp", b.address)
	}
	return t
}

// connectOver: the tunnel lives longer than the dial's context, which net/http cancels.
func connectOver(t *http.Transport, address string) (net.Conn, error) {
	r, w := io.Pipe()
	scheme := "https"
	if t.DialContext != nil {
		scheme = "http"
	}
	request, err := http.NewRequest("CONNECT", scheme+"://"+address, r)
	if err != nil {
		return nil, err
	}
	response, err := t.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != 200 {
		text, _ := io.ReadAll(response.Body)
		return nil, fmt.Errorf("CONNECT: %s: %s", response.Status, text)
	}
	return pipe{Reader: streamReader{response.Body}, WriteCloser: streamWriter{w, response.Body}}, nil
}

// streamReader hides that the error below is HTTP/2's: the HTTP/2 above would take a reset for one of its own streams'.
type streamReader struct{ io.Reader }

func (r streamReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err != nil && err != io.EOF {
		err = errors.New(err.Error())
	}
	return n, err
}

// streamWriter ends its direction, and resets the stream if the other has not ended a moment later.
type streamWriter struct {
	*io.PipeWriter
	body io.Closer
}

func (w streamWriter) Close() error {
	time.AfterFunc(200*time.Millisecond, func() { w.body.Close() })
	return w.PipeWriter.Close()
}

// -- clients inside

func inside(ca, cert, key string, alpn ...string) (*tls.Config, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), NextProtos: alpn}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate", ca)
	}
	if cert == "" {
		return config, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	config.Certificates = []tls.Certificate{pair}
	return config, err
}

// client is net/http on tunnels of its own, by one protocol.
func (b *bridge) client(dial dialFunc, alpn, cert, key string) (*http.Client, error) {
	config, err := inside(b.bridgeCA, cert, key, alpn)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{TLSClientConfig: config, Protocols: new(http.Protocols),
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) { return dial(ctx, address) }}
	t.Protocols.SetHTTP1(alpn == "http/1.1")
	t.Protocols.SetHTTP2(alpn == "h2")
	return &http.Client{Transport: t, Timeout: 30 * time.Second}, nil
}

func get(c *http.Client, url string) (int, string, error) {
	response, err := c.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

func echoed(c *http.Client, url string, size int) error {
	sent := make([]byte, size)
	noise(sent, 11)
	response, err := c.Post(url, "application/octet-stream", bytes.NewReader(sent))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err == nil && !bytes.Equal(sent, got) {
		err = fmt.Errorf("other bytes came back, %d of %d", len(got), len(sent))
	}
	return err
}

// -- checks

func (b *bridge) checks(r *report, how string, dial dialFunc) {
	url := "https://" + b.kubelet
	for _, alpn := range []string{"http/1.1", "h2"} {
		within := func(what string, check func(context.Context, *http.Client) error) {
			r.within(40*time.Second, how+", "+alpn+" inside: "+what, func(ctx context.Context) error {
				c, err := b.client(dial, alpn, b.cert, b.key)
				if err != nil {
					return err
				}
				defer c.CloseIdleConnections()
				return check(ctx, c)
			})
		}
		within("the kubelet knows the broker, not the client", func(ctx context.Context, c *http.Client) error {
			_, body, err := get(c, url+"/whoami")
			return errors.Join(err, contains(strings.Join(strings.Fields(body), ""), `"client_cn":"egress-broker"`))
		})
		within("200 requests", func(ctx context.Context, c *http.Client) error { return asks(c, url+"/healthz", 200) })
		within("16 MiB there and back", func(ctx context.Context, c *http.Client) error { return echoed(c, url+"/echo", 16<<20) })
		within("16 tunnels at once, 1 MiB there and back", func(ctx context.Context, _ *http.Client) error { return b.crowd(dial, alpn, 16) })
		within("a reader that stands still is waited for, and stops no other", func(ctx context.Context, c *http.Client) error { return b.pauses(dial, c, alpn) })
		within("a client that leaves in the middle, 20 times", func(ctx context.Context, _ *http.Client) error { return b.leaves(dial, alpn, 20) })
		within("a kubelet that can not prove itself is the answer to a request", func(ctx context.Context, c *http.Client) error {
			status, body, err := get(c, "https://"+b.wrong+"/healthz")
			if err == nil && status != 502 {
				err = fmt.Errorf("status %d", status)
			}
			return errors.Join(err, contains(body, "not signed by a trusted CA"))
		})
		r.within(40*time.Second, how+", "+alpn+" inside: a stranger and a client without a certificate are not let in", func(ctx context.Context) error {
			return errors.Join(b.refuses(dial, alpn, b.strangerCert, b.strangerKey), b.refuses(dial, alpn, "", ""))
		})
	}
	r.within(40*time.Second, how+": an upgrade inside, byte-exact", func(ctx context.Context) error { return b.upgrades(ctx, dial) })
	r.within(40*time.Second, how+": what is not TLS ends the tunnel", func(ctx context.Context) error { return b.babbles(ctx, dial) })
}

func contains(text, words string) error {
	if !strings.Contains(text, words) {
		return fmt.Errorf("%.200q has no %q", text, words)
	}
	return nil
}

func asks(c *http.Client, url string, count int) error {
	for i := range count {
		if status, body, err := get(c, url); err != nil || status != 200 || body != "ok" {
			return fmt.Errorf("request %d: %d %.100q %v", i, status, body, err)
		}
	}
	return nil
}

func (b *bridge) crowd(dial dialFunc, alpn string, size int) error {
	failed := make([]error, size)
	var all sync.WaitGroup
	for i := range size {
		all.Go(func() {
			c, err := b.client(dial, alpn, b.cert, b.key)
			if err == nil {
				err = echoed(c, "https://"+b.kubelet+"/echo", 1<<20)
				c.CloseIdleConnections()
			}
			failed[i] = err
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// pauses: 8 MiB, of which nothing is read for a second, while another tunnel goes on.
func (b *bridge) pauses(dial dialFunc, c *http.Client, alpn string) error {
	const size = 8 << 20
	response, err := c.Get(fmt.Sprintf("https://%s/bytes/%d", b.kubelet, size))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	other, err := b.client(dial, alpn, b.cert, b.key)
	if err != nil {
		return err
	}
	defer other.CloseIdleConnections()
	if err := asks(other, "https://"+b.kubelet+"/healthz", 50); err != nil {
		return err
	}
	time.Sleep(time.Second)
	n, err := io.Copy(io.Discard, response.Body)
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes of %d", n, size)
	}
	return err
}

func (b *bridge) leaves(dial dialFunc, alpn string, times int) error {
	for range times {
		c, err := b.client(dial, alpn, b.cert, b.key)
		if err != nil {
			return err
		}
		response, err := c.Get("https://" + b.kubelet + "/bytes/8388608")
		if err != nil {
			return err
		}
		_, err = io.ReadFull(response.Body, make([]byte, 100000))
		response.Body.Close()
		c.CloseIdleConnections()
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bridge) refuses(dial dialFunc, alpn, cert, key string) error {
	c, err := b.client(dial, alpn, cert, key)
	if err != nil {
		return err
	}
	defer c.CloseIdleConnections()
	if status, _, err := get(c, "https://"+b.kubelet+"/healthz"); err == nil {
		return fmt.Errorf("it was let in: %d", status)
	}
	return nil
}

func (b *bridge) handshaken(ctx context.Context, dial dialFunc) (*tls.Conn, error) {
	config, err := inside(b.bridgeCA, b.cert, b.key, "http/1.1")
	if err != nil {
		return nil, err
	}
	config.ServerName, _, _ = net.SplitHostPort(b.kubelet)
	below, err := dial(ctx, b.kubelet)
	if err != nil {
		return nil, err
	}
	c := tls.Client(below, config)
	return c, c.HandshakeContext(ctx)
}

func (b *bridge) upgrades(ctx context.Context, dial dialFunc) error {
	c, err := b.handshaken(ctx, dial)
	if err != nil {
		return err
	}
	defer c.Close()
	io.WriteString(c, "POST /exec/default/web/app?command=cat&input=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"+
		"X-Stream-Protocol-Version: v4.channel.k8s.io\r\nContent-Length: 0\r\n\r\n")
	var head []byte
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		var one [1]byte
		if _, err := io.ReadFull(c, one[:]); err != nil {
			return fmt.Errorf("after %q: %w", head, err)
		}
		head = append(head, one[0])
	}
	if err := contains(string(head), "HTTP/1.1 101 "); err != nil {
		return err
	}
	sent, got := make([]byte, 2<<20), make([]byte, 2<<20)
	noise(sent, 3)
	go c.Write(sent)
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(sent, got) {
		return errors.New("other bytes came back")
	}
	return nil
}

// babbles: the tunnel is answered, and ends when its first bytes are no ClientHello.
func (b *bridge) babbles(ctx context.Context, dial dialFunc) error {
	c, err := dial(ctx, b.kubelet)
	if err != nil {
		return err
	}
	defer c.Close()
	io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	answer, _ := io.ReadAll(c)
	if bytes.Contains(answer, []byte("HTTP/")) {
		return fmt.Errorf("answered with %.100q", answer)
	}
	return nil
}

// halfCloses: in the middle of an answer TLS is ended inside the tunnel, and the stream below. Nothing is read for so long
// that the answer is given up, though the connection stands; who reads after that finds a part of it.
func (b *bridge) halfCloses(ctx context.Context, t *http.Transport) error {
	const size, first = 64 << 20, 1000
	var below pipe
	c, err := b.handshaken(ctx, func(_ context.Context, address string) (net.Conn, error) {
		n, err := connectOver(t, address)
		if err == nil {
			below = n.(pipe)
		}
		return n, err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c, "GET /bytes/%d HTTP/1.1\r\nHost: x\r\n\r\n", size)
	if _, err := io.ReadFull(c, make([]byte, first)); err != nil {
		return err
	}
	if err := errors.Join(c.CloseWrite(), below.WriteCloser.(streamWriter).PipeWriter.Close()); err != nil {
		return err
	}
	time.Sleep(25 * time.Second) // twice the broker's ten seconds, and some
	n, err := io.Copy(io.Discard, c)
	if err == nil || first+n >= size {
		return fmt.Errorf("%d of %d bytes came, and %v", first+n, size, err)
	}
	return nil
}

// drains: what is being read when the broker is told to stop is read to its end, and what is idle is ended at once.
func (b *bridge) drains(r *report, dials map[string]dialFunc) {
	const size = 8 << 20
	var all sync.WaitGroup
	failed := map[string]error{}
	var lock sync.Mutex
	ready := make(chan struct{}, 2*len(dials))
	for how, dial := range dials {
		for _, alpn := range []string{"http/1.1", "h2"} {
			all.Go(func() {
				err := b.readsOn(dial, alpn, size, ready)
				lock.Lock()
				failed[how+", "+alpn+" inside"] = err
				lock.Unlock()
			})
		}
	}
	for range 2 * len(dials) {
		<-ready
	}
	fmt.Println("ready")
	all.Wait()
	for what, err := range failed {
		r.within(time.Second, what+": drained", func(context.Context) error { return err })
	}
}

func (b *bridge) readsOn(dial dialFunc, alpn string, size int64, ready chan<- struct{}) error {
	ended := make(chan struct{}, 1)
	watched := func(ctx context.Context, address string) (net.Conn, error) {
		c, err := dial(ctx, address)
		return closeWatcher{c, ended}, err
	}
	resting, err := b.client(watched, alpn, b.cert, b.key)
	if err == nil {
		err = asks(resting, "https://"+b.kubelet+"/healthz", 1)
	}
	reading, err2 := b.client(dial, alpn, b.cert, b.key)
	var response *http.Response
	if err = errors.Join(err, err2); err == nil {
		response, err = reading.Get(fmt.Sprintf("https://%s/bytes/%d", b.kubelet, size))
	}
	ready <- struct{}{}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		return errors.New("what was idle is not ended")
	}
	n, err := io.Copy(io.Discard, response.Body)
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes of %d", n, size)
	}
	return err
}

// closeWatcher tells that net/http let go of a connection, which it does when the other side has ended it.
type closeWatcher struct {
	net.Conn
	closed chan struct{}
}

func (w closeWatcher) Close() error {
	select {
	case w.closed <- struct{}{}:
	default:
	}
	return w.Conn.Close()
}
