// agents: what the proxy-server's own tests verify of a server with agents, against whatever server is given. The agents are
// the module's, so are the clients; each case has a server of its own.
package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/connectivity"
)

func runAgents(w *world) error {
	if err := w.prepare(); err != nil {
		return err
	}
	var r report
	for _, acts := range [][]act{requests, failures, lives, choices} {
		if err := w.playAll(&r, acts); err != nil {
			return err
		}
	}
	return r.end()
}

var requests = []act{
	{"a request is answered", 30 * time.Second, "", false, basic},
	{"a response of 20 MiB", 60 * time.Second, "", false, func(s *scene) { sized(s, 1, 20) }},
	{"10 responses of 10 MiB at once", 90 * time.Second, "", false, func(s *scene) { sized(s, 10, 10) }},
	{"100 POSTs at once over two agents get their own bodies back", 60 * time.Second, "", false, posts},
	{"an echo is read in small pieces", 30 * time.Second, "", false, shortReads},
	{"bytes of all shapes, to the byte", 120 * time.Second, "", false, shapes},
	{"3,000 connections one after another on one gRPC connection", 90 * time.Second, frontShared, false, oneAfterAnother},
	{"a destination that speaks first is heard", 30 * time.Second, "", true, speaksFirst},
	{"a client that has said all still hears the answer", 30 * time.Second, frontConnect, true, halfClose},
}

func basic(s *scene) {
	srv := s.server(asked{})
	address := s.hello()
	s.agent(srv, "basic", "")
	s.saysOnce(srv, address)
	s.metric(srv, `ready_backends{proxy_strategy="default"}`, 1)
}

func sized(s *scene, count, mib int) {
	srv := s.server(asked{})
	piece := make([]byte, 1<<20)
	noise(piece, 3)
	sum := sha256.New()
	for range mib {
		sum.Write(piece)
	}
	want := sum.Sum(nil)
	address := s.http(func(w http.ResponseWriter, _ *http.Request) {
		for range mib {
			w.Write(piece)
		}
	})
	s.agent(srv, "sized", "")
	dial := s.dialer(srv)
	s.need(crowd(count, func(ctx context.Context, dial dialFunc, address string) error {
		c := s.client(dial)
		got, err := s.get(c, address)
		c.CloseIdleConnections()
		if sum := sha256.Sum256([]byte(got)); err == nil && string(sum[:]) != string(want) {
			err = fmt.Errorf("other bytes, %d of them", len(got))
		}
		return err
	})(s.ctx, dial, address))
	s.emptied()
}

func posts(s *scene) {
	srv := s.server(asked{})
	address := s.http(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // Go's server drops what is unread once it answers
		w.Write(body)
	})
	s.agent(srv, "one", "")
	s.agent(srv, "two", "")
	var number atomic.Int32
	s.need(crowd(100, func(ctx context.Context, dial dialFunc, address string) error {
		body := strings.Repeat(fmt.Sprintf("body %d ", number.Add(1)), 200)
		c := s.client(dial)
		defer c.CloseIdleConnections()
		answer, err := c.Post("http://"+address+"/", "text/plain", strings.NewReader(body))
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		got, err := io.ReadAll(answer.Body)
		if err == nil && string(got) != body {
			err = fmt.Errorf("another body: %.40q", got)
		}
		return err
	})(s.ctx, s.dialer(srv), address))
	s.emptied()
}

func shortReads(s *scene) {
	srv := s.server(asked{})
	s.agent(srv, "echo", "")
	c, err := s.dialer(srv)(s.ctx, s.listen(echo))
	s.need(err)
	room := make([]byte, 10)
	hear := func(want string) {
		n, err := io.ReadAtLeast(c, room[:len(want)], len(want))
		s.need(err)
		s.must(string(room[:n]) == want, "heard %q, expected %q", room[:n], want)
	}
	_, err = io.WriteString(c, "1234567890123456789012345")
	s.need(err)
	hear("1234567890")
	hear("1234567890")
	_, err = io.WriteString(c, "abcdefg")
	s.need(err)
	hear("12345")
	hear("abcdefg")
	s.need(c.Close())
	s.emptied()
}

// shapes are the checks that the front alone has to pass, too.
func shapes(s *scene) {
	srv := s.server(asked{})
	s.agent(srv, "shapes", "")
	dial := s.dialer(srv)
	for _, each := range []struct {
		what   string
		handle func(*net.TCPConn)
		check  connCheck
	}{
		{"echoes one after another", echo, many(20, echoes(3000))},
		{"32 echoes at once", echo, crowd(32, echoes(1<<20))},
		{"32 MiB down", blob, download(32 << 20)},
		{"32 MiB up", digest, upload(32 << 20)},
		{"16 times 4 MiB down at once", blob, crowd(16, download(4<<20))},
	} {
		if err := each.check(s.ctx, dial, s.listen(each.handle)); err != nil {
			s.failf("%s: %w", each.what, err)
		}
	}
	s.emptied()
}

// oneAfterAnother: the client resets the stream of each, which is no flood. Of HTTP/2 connections there is one throughout.
func oneAfterAnother(s *scene) {
	srv := s.server(asked{})
	s.agent(srv, "patient", "")
	shared, err := srv.front.share(s.ctx)
	s.need(err)
	s.atEnd(shared.connection.Close)
	s.need(crowd(6, many(500, echoes(10)))(s.ctx, shared.dial, s.listen(echo)))
	s.must(shared.connection.GetState() == connectivity.Ready, "the connection is %v", shared.connection.GetState())
	if s.kind != kindStock {
		all, err := fetch(srv.metrics, "/metrics")
		s.need(err)
		s.must(strings.Contains(all, "\nhawser_front_http2_errors_total 0\n"), "the client broke a rule")
	}
	s.emptied()
}

// speaksFirst: with the proxy-server its words may overtake the answer to the dial.
func speaksFirst(s *scene) {
	srv := s.server(asked{})
	s.agent(srv, "first", "")
	s.need(many(20, hearBanner)(s.ctx, s.dialer(srv), s.listen(banner)))
	s.emptied()
}

// halfClose: the protocol has none, so the server must wait with CLOSE_REQ until the destination is silent.
func halfClose(s *scene) {
	srv := s.server(asked{})
	s.agent(srv, "half", "")
	c, err := s.dialer(srv)(s.ctx, s.listen(blob))
	s.need(err)
	s.need(ask(c, 8<<20))
	s.need(c.(interface{ CloseWrite() error }).CloseWrite())
	n, err := io.Copy(io.Discard, c)
	s.need(err)
	s.must(n == 8<<20, "%d bytes of %d came", n, 8<<20)
	c.Close()
	s.emptied()
}
