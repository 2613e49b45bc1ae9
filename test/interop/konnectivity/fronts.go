// The fronts: the ways in which a kube-apiserver may ask for a connection.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"time"

	"google.golang.org/grpc"
	"sigs.k8s.io/apiserver-network-proxy/konnectivity-client/proto/client"
)

const (
	frontSingle  = "single"  // the library's single-use tunnels, a gRPC connection each
	frontShared  = "shared"  // one gRPC connection, one Proxy stream a dial
	frontConnect = "connect" // HTTP CONNECT
)

// refusal is what CONNECT was answered if not 200.
type refusal struct {
	code   int
	status string
	body   string
}

func (r *refusal) Error() string { return fmt.Sprintf("%s: %s", r.status, r.body) }

// connect returns a connection behind whose 200 nothing had come.
func (w *way) connect(ctx context.Context, address string) (net.Conn, error) {
	c, err := w.reach(ctx)
	if err != nil {
		return nil, err
	}
	given := context.AfterFunc(ctx, func() { c.Close() })
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", address)
	in := bufio.NewReader(c)
	answer, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
	if err != nil {
		c.Close()
		return nil, errors.Join(err, ctx.Err())
	}
	if answer.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(answer.Body)
		c.Close()
		return nil, &refusal{answer.StatusCode, answer.Status, string(body)}
	}
	if in.Buffered() > 0 {
		c.Close()
		return nil, fmt.Errorf("%d bytes came with the 200", in.Buffered())
	}
	if !given() {
		c.Close()
		return nil, ctx.Err()
	}
	return c, nil
}

func (w *way) reach(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	if w.unix != "" {
		return d.DialContext(ctx, "unix", w.unix)
	}
	pem, err := os.ReadFile(w.ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	pair, err := tls.LoadX509KeyPair(w.cert, w.key)
	if err != nil {
		return nil, err
	}
	return (&tls.Dialer{Config: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}).DialContext(ctx, "tcp", w.address)
}

// shared dials on streams of one gRPC connection.
type shared struct{ connection *grpc.ClientConn }

func (w *way) share(ctx context.Context) (*shared, error) {
	target, options, err := w.target()
	if err != nil {
		return nil, err
	}
	connection, err := grpc.DialContext(ctx, target, options...)
	return &shared{connection}, err
}

func (s *shared) dial(ctx context.Context, address string) (net.Conn, error) {
	life, cancel := context.WithCancel(context.Background())
	stream, err := client.NewProxyServiceClient(s.connection).Proxy(life)
	if err != nil {
		cancel()
		return nil, err
	}
	calls := newCalls(stream, s.connection)
	c, err := calls.dial(ctx, rand.Int64(), address)
	if err != nil {
		cancel()
		return nil, err
	}
	return &streamConn{conn: c, cancel: cancel}, nil
}

// streamConn is a connection alone on its stream, as net.Conn.
type streamConn struct {
	*conn
	cancel context.CancelFunc
	rest   []byte
}

func (c *streamConn) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		select {
		case piece, open := <-c.in:
			if !open {
				return 0, io.EOF
			}
			c.rest = piece
		case <-c.calls.over:
			if len(c.in) == 0 {
				return 0, c.calls.err
			}
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *streamConn) Write(p []byte) (int, error) {
	if err := c.calls.data(c.id, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *streamConn) Close() error {
	defer c.cancel()
	c.calls.closeRequest(c.id)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	select {
	case <-c.close:
	case <-c.calls.over:
	case <-ctx.Done():
		return errors.New("CLOSE_REQ is not answered")
	}
	return nil
}

func (c *streamConn) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (c *streamConn) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (c *streamConn) SetDeadline(time.Time) error      { return nil }
func (c *streamConn) SetReadDeadline(time.Time) error  { return nil }
func (c *streamConn) SetWriteDeadline(time.Time) error { return nil }
