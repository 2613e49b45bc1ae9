// hostile: agents that lie, flood, die and stand still. Only they pay for it: beside each works a good one, whose client
// must not see a single failure meanwhile.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/apiserver-network-proxy/konnectivity-client/proto/client"
	"sigs.k8s.io/apiserver-network-proxy/proto/header"
)

func runHostile(w *world) error {
	if err := w.prepare(); err != nil {
		return err
	}
	var r report
	for _, acts := range [][]act{liars, crowds} {
		if err := w.playAll(&r, acts); err != nil {
			return err
		}
	}
	return r.end()
}

var liars = []act{
	{"bytes that are no TLS, no HTTP/2, no gRPC", 30 * time.Second, "", false, noBytes},
	{"messages that are no packets", 30 * time.Second, "", false, noPackets},
	{"a message over 4 MiB", 30 * time.Second, "", false, oversize},
	{"connectIDs of others", 30 * time.Second, "", true, foreign},
	{"answers to dials that nobody made", 60 * time.Second, "", true, answersFlood},
	{"one connectID for two dials", 30 * time.Second, "", true, sameID},
	{"connectIDs that are none", 30 * time.Second, "", true, badIDs},
	{"packets that an agent does not send", 30 * time.Second, "", true, odd},
	{"an agent that reads nothing", 60 * time.Second, "", true, readsNothing},
	{"a name of 100,000 bytes", 30 * time.Second, "", true, longName},
}

const badHost = "127.65.0.9" // what the bad agent says it serves

// stage is a server with a good agent at work, and a dialer. The bad agent is the case's.
type stage struct {
	*scene
	srv  *server
	dial dialFunc
}

// beside has a client work through the good agent until the scene ends; any failure of it is the scene's.
func (s *scene) beside() *stage { return s.besideWith(asked{}) }

func (s *scene) besideWith(a asked) *stage {
	a.strategies = "destHost"
	srv := s.server(a)
	s.agent(srv, "good", "ipv4="+s.destination)
	dial, address := s.dialer(srv), s.listen(echo)
	standing, err := dial(s.ctx, address)
	s.need(err)
	over, done, count := make(chan struct{}), make(chan error, 1), 0
	go func() {
		done <- func() error {
			for ; ; count++ {
				select {
				case <-over:
					return exchange(standing, "still here")
				default:
				}
				ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
				c, err := dial(ctx, address)
				cancel()
				if err != nil {
					return err
				}
				if err := errors.Join(exchange(c, "hello"), exchange(standing, "are you there")); err != nil {
					return err
				}
				c.Close()
				time.Sleep(5 * time.Millisecond)
			}
		}()
	}()
	s.atEnd(func() error {
		close(over)
		err := <-done
		standing.Close()
		if err != nil {
			return fmt.Errorf("the good agent's client, at its exchange %d: %w", count, err)
		}
		if count < 10 {
			return fmt.Errorf("the good agent's client has had %d exchanges only", count)
		}
		return nil
	})
	time.Sleep(200 * time.Millisecond)
	return &stage{s, srv, dial}
}

// exchange: an echo, within five seconds.
func exchange(c net.Conn, words string) error {
	late := time.AfterFunc(5*time.Second, func() { c.Close() })
	defer late.Stop()
	if _, err := io.WriteString(c, words); err != nil {
		return err
	}
	got := make([]byte, len(words))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != words {
		return fmt.Errorf("%q for %q", got, words)
	}
	return nil
}

func (s *stage) bad() *rawAgent {
	return s.rawAgent(s.srv, header.AgentID, "bad", header.AgentIdentifiers, "ipv4="+badHost)
}

// gone: the agent's stream is ended by the server.
func (s *stage) gone(a *rawAgent, want ...codes.Code) {
	over := make(chan error, 1)
	go func() {
		for {
			if _, err := a.Recv(); err != nil {
				over <- err
				return
			}
		}
	}()
	select {
	case err := <-over:
		for _, code := range want {
			if status.Code(err) == code {
				return
			}
		}
		s.must(len(want) == 0, "it ends with %v", err)
	case <-time.After(10 * time.Second):
		s.failf("the bad agent is not cut")
	}
}

func (s *stage) secure(protocols ...string) net.Conn {
	pem, err := os.ReadFile(s.pki.ca)
	s.need(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	pair, err := tls.LoadX509KeyPair(s.pki.clientCert, s.pki.clientKey)
	s.need(err)
	c, err := tls.Dial("tcp", s.srv.agents, &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, NextProtos: protocols})
	s.need(err)
	return c
}

func noBytes(scene *scene) {
	s := scene.beside()
	junk := make([]byte, 70000)
	noise(junk, rand.Uint64())
	preface := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	for _, each := range []struct {
		what   string
		secure bool
		bytes  string
	}{
		{"no TLS", false, string(junk)},
		{"no HTTP/2", true, string(junk)},
		{"HTTP/2, and then noise", true, preface + string(junk)},
		{"HTTP/1", true, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
	} {
		var c net.Conn
		if each.secure {
			c = s.secure("h2")
		} else {
			plain, err := net.Dial("tcp", s.srv.agents)
			s.need(err)
			c = plain
		}
		io.WriteString(c, each.bytes)
		c.SetReadDeadline(time.Now().Add(15 * time.Second))
		_, err := io.Copy(io.Discard, c)
		var late net.Error
		s.must(!errors.As(err, &late) || !late.Timeout(), "%s: the connection stands", each.what)
		c.Close()
	}
}

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error)      { return v.([]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error { *v.(*[]byte) = data; return nil }
func (rawCodec) Name() string                       { return "proto" }

func noPackets(scene *scene) {
	s := scene.beside()
	for _, each := range [][]byte{
		{0xff, 0xff, 0xff, 0xff}, {0x0a}, {0x22, 0x05, 0x08}, []byte(strings.Repeat("\xff", 10000)), {0x08, 0x04, 0x22, 0x02, 0x1a, 0x7f},
	} {
		secure, err := s.pki.agentCredentials()
		s.need(err)
		connection, err := grpc.NewClient("passthrough:///"+s.srv.agents, secure)
		s.need(err)
		stream, err := connection.NewStream(metadata.AppendToOutgoingContext(s.ctx, header.AgentID, "noise"),
			&grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/AgentService/Connect", grpc.ForceCodec(rawCodec{}))
		s.need(err)
		s.need(stream.SendMsg(each))
		over := make(chan error, 1)
		go func() {
			var got []byte
			over <- stream.RecvMsg(&got)
		}()
		select {
		case err := <-over:
			s.must(status.Code(err) == codes.Internal, "% .20x: %v", each, err)
		case <-time.After(5 * time.Second):
			s.failf("% .20x: the stream goes on", each)
		}
		connection.Close()
	}
}

func oversize(scene *scene) {
	s := scene.beside()
	a := s.bad()
	a.data(1, make([]byte, 5<<20))
	s.gone(a, codes.ResourceExhausted)
}

// foreign: what the bad agent says of connections that are the good one's is not heeded, nor forwarded.
func foreign(scene *scene) {
	s := scene.beside()
	a := s.bad()
	asked := make(chan int64, 10000)
	go func() {
		for {
			p, err := a.Recv()
			if err != nil {
				return
			}
			if p.Type == client.PacketType_CLOSE_REQ {
				asked <- p.GetCloseRequest().ConnectID
			}
		}
	}()
	for round := range 20 {
		for id := range int64(50) {
			if a.data(id+1, []byte("intruder")) != nil || a.closed(id+1, "") != nil {
				return // cut: so be it
			}
		}
		time.Sleep(20 * time.Millisecond)
		if round == 0 {
			select {
			case <-asked:
			case <-time.After(5 * time.Second):
				s.failf("nobody asks to close what is not known")
			}
		}
	}
}

// answersFlood: each asks for a CLOSE_REQ, which this agent does not read.
func answersFlood(scene *scene) {
	s := scene.beside()
	before := s.srv.residentKiB()
	a := s.bad()
	over := make(chan struct{})
	go func() {
		defer close(over)
		for i := range int64(300_000) {
			if a.answer(rand.Int64(), i+1, "") != nil {
				return
			}
		}
	}()
	select {
	case <-over:
	case <-time.After(15 * time.Second): // it is not read any more, which is an answer, too
	}
	s.bounded(before, 32<<10)
	a.cut()
	<-over
}

func (s *stage) bounded(before, kib int) {
	if now := s.srv.residentKiB(); now > before+kib {
		s.failf("the server's memory went from %d to %d KiB", before, now)
	}
}

// serveBad answers dials with the ids that next gives, and echoes nothing.
func (a *rawAgent) serveBad(next func(random int64) (id int64, answer bool)) {
	for {
		p, err := a.Recv()
		if err != nil {
			return
		}
		if p.Type == client.PacketType_DIAL_REQ {
			random := p.GetDialRequest().Random
			if id, answer := next(random); answer {
				a.answer(random, id, "")
			}
		}
	}
}

func sameID(scene *scene) {
	s := scene.beside()
	a := s.bad()
	go a.serveBad(func(int64) (int64, bool) { return 7, true })
	first, err := s.dial(s.ctx, badHost+":443")
	s.need(err)
	defer first.Close()
	ctx, cancel := context.WithTimeout(s.ctx, 12*time.Second)
	defer cancel()
	second, err := s.dial(ctx, badHost+":443")
	if err == nil {
		second.Close()
		s.failf("two connections have one connectID")
	}
}

func badIDs(scene *scene) {
	s := scene.beside()
	for _, id := range []int64{0, -1, -1 << 63} {
		a := s.bad()
		go a.serveBad(func(int64) (int64, bool) { return id, true })
		ctx, cancel := context.WithTimeout(s.ctx, 12*time.Second)
		c, err := s.dial(ctx, badHost+":443")
		cancel()
		if err == nil { // a negative number is one like any, if it is used like one
			c.Close()
			s.must(id != 0, "a connection has no connectID")
		}
		a.end()
	}
}

// odd: whatever a packet is, if it is one, the stream goes on.
func odd(scene *scene) {
	s := scene.beside()
	a := s.bad()
	refusing := make(chan struct{})
	go func() {
		for {
			p, err := a.Recv()
			if err != nil {
				return
			}
			if p.Type == client.PacketType_DIAL_REQ {
				a.answer(p.GetDialRequest().Random, 0, "this is bad")
				close(refusing)
			}
		}
	}()
	for kind := range client.PacketType(7) {
		s.need(a.send(&client.Packet{Type: kind}))
	}
	s.need(a.send(&client.Packet{Type: 99}))
	s.need(a.send(&client.Packet{Type: client.PacketType_DIAL_REQ, Payload: &client.Packet_DialRequest{
		DialRequest: &client.DialRequest{Protocol: "tcp", Address: "127.0.0.1:22", Random: 5}}}))
	s.need(a.send(&client.Packet{Type: client.PacketType_CLOSE_REQ, Payload: &client.Packet_CloseRequest{
		CloseRequest: &client.CloseRequest{ConnectID: 1}}}))
	s.asks(s.dial, badHost+":443", "bad")
	<-refusing
}

// readsNothing: its client is stopped, and what it sent waits in bounded room.
func readsNothing(scene *scene) {
	s := scene.beside()
	a := s.bad()
	answered := make(chan struct{})
	go func() {
		p, err := a.Recv()
		if err == nil && p.Type == client.PacketType_DIAL_REQ {
			a.answer(p.GetDialRequest().Random, 1, "")
		}
		close(answered) // and never again
	}()
	c, err := s.dial(s.ctx, badHost+":443")
	s.need(err)
	<-answered
	before := s.srv.residentKiB()
	sent := make(chan int, 1)
	go func() {
		piece, all := make([]byte, 32<<10), 0
		for range 2048 {
			n, err := c.Write(piece)
			all += n
			if err != nil {
				break
			}
		}
		sent <- all
	}()
	select {
	case all := <-sent:
		s.must(all < 64<<20, "64 MiB went to an agent that reads nothing")
	case <-time.After(4 * time.Second):
	}
	s.bounded(before, 32<<10)
	begun := time.Now()
	a.cut()
	s.need(endsWithin(c, time.Second))
	s.must(time.Since(begun) < time.Second, "the client is told after %v", time.Since(begun))
}

// endsWithin: the connection's reader hears the end.
func endsWithin(c net.Conn, limit time.Duration) error {
	over := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		over <- err
	}()
	select {
	case err := <-over:
		c.Close()
		if err == nil {
			return errors.New("bytes come from nowhere")
		}
		return nil
	case <-time.After(limit):
		return fmt.Errorf("not told within %v", limit)
	}
}

func longName(scene *scene) {
	s := scene.beside()
	for _, pairs := range [][]string{
		{header.AgentID, strings.Repeat("x", 100_000)},
		{header.AgentID, "bad", header.AgentIdentifiers, "host=" + strings.Repeat("x", 100_000)},
		{header.AgentID, "bad", header.AgentIdentifiers, strings.Repeat("host=x&", 20_000)},
	} {
		a, err := connectRaw(s.ctx, s.pki, s.srv.agents, pairs...)
		if err == nil {
			a.end()
			s.failf("%.40s…: it is an agent", pairs[len(pairs)-1])
		}
	}
}
