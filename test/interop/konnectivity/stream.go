// stream: one Proxy stream by hand. Many connections on it, and what the library would never do.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/apiserver-network-proxy/konnectivity-client/proto/client"
)

// calls is a stream whose packets are told to whoever waits for them.
type calls struct {
	client.ProxyService_ProxyClient
	connection *grpc.ClientConn
	sending    sync.Mutex
	waiting    sync.Mutex
	dials      map[int64]chan *client.DialResponse
	conns      map[int64]*conn
	strangers  chan *client.CloseResponse
	over       chan struct{}
	err        error
}

type conn struct {
	calls *calls
	id    int64
	in    chan []byte
	close chan string
}

func (w *way) open(ctx context.Context, options ...grpc.CallOption) (*calls, error) {
	target, dialOptions, err := w.target()
	if err != nil {
		return nil, err
	}
	connection, err := grpc.DialContext(ctx, target, dialOptions...)
	if err != nil {
		return nil, err
	}
	stream, err := client.NewProxyServiceClient(connection).Proxy(ctx, options...)
	if err != nil {
		return nil, err
	}
	return newCalls(stream, connection), nil
}

func newCalls(stream client.ProxyService_ProxyClient, connection *grpc.ClientConn) *calls {
	s := &calls{ProxyService_ProxyClient: stream, connection: connection, dials: map[int64]chan *client.DialResponse{},
		conns: map[int64]*conn{}, strangers: make(chan *client.CloseResponse, 1000), over: make(chan struct{})}
	go s.serve()
	return s
}

func (s *calls) send(p *client.Packet) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	return s.Send(p)
}

func (s *calls) serve() {
	defer close(s.over)
	for {
		p, err := s.Recv()
		if err != nil {
			s.err = err
			return
		}
		s.waiting.Lock()
		switch p.Type {
		case client.PacketType_DIAL_RSP:
			answer := p.GetDialResponse()
			if answer.Error == "" {
				s.conns[answer.ConnectID] = &conn{s, answer.ConnectID, make(chan []byte, 100000), make(chan string, 1)}
			}
			s.dials[answer.Random] <- answer
		case client.PacketType_DATA:
			if c := s.conns[p.GetData().ConnectID]; c != nil {
				c.in <- p.GetData().Data
			}
		case client.PacketType_CLOSE_RSP:
			answer := p.GetCloseResponse()
			if c := s.conns[answer.ConnectID]; c != nil {
				delete(s.conns, answer.ConnectID)
				close(c.in)
				c.close <- answer.Error
			} else {
				s.strangers <- answer
			}
		}
		s.waiting.Unlock()
	}
}

func (s *calls) begin(random int64, protocol, address string) chan *client.DialResponse {
	answer := make(chan *client.DialResponse, 1)
	s.waiting.Lock()
	s.dials[random] = answer
	s.waiting.Unlock()
	s.send(&client.Packet{Type: client.PacketType_DIAL_REQ, Payload: &client.Packet_DialRequest{
		DialRequest: &client.DialRequest{Protocol: protocol, Address: address, Random: random}}})
	return answer
}

func (s *calls) dial(ctx context.Context, random int64, address string) (*conn, error) {
	select {
	case answer := <-s.begin(random, "tcp", address):
		if answer.Error != "" {
			return nil, errors.New(answer.Error)
		}
		if answer.ConnectID == 0 || answer.Random != random {
			return nil, fmt.Errorf("DIAL_RSP with connectID %d and random %d", answer.ConnectID, answer.Random)
		}
		s.waiting.Lock()
		defer s.waiting.Unlock()
		return s.conns[answer.ConnectID], nil
	case <-s.over:
		return nil, s.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *calls) data(id int64, data []byte) error {
	return s.send(&client.Packet{Type: client.PacketType_DATA, Payload: &client.Packet_Data{
		Data: &client.Data{ConnectID: id, Data: data}}})
}

func (s *calls) closeRequest(id int64) error {
	return s.send(&client.Packet{Type: client.PacketType_CLOSE_REQ, Payload: &client.Packet_CloseRequest{
		CloseRequest: &client.CloseRequest{ConnectID: id}}})
}

func (c *conn) read(ctx context.Context, size int) ([]byte, error) {
	var all []byte
	for len(all) < size {
		select {
		case piece, open := <-c.in:
			if !open {
				return all, io.EOF
			}
			all = append(all, piece...)
		case <-ctx.Done():
			return all, ctx.Err()
		}
	}
	return all, nil
}

func (c *conn) closed(ctx context.Context) (string, error) {
	select {
	case text := <-c.close:
		return text, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// ends: the stream ends with this status.
func (s *calls) ends(ctx context.Context, code codes.Code, words string) error {
	select {
	case <-s.over:
	case <-ctx.Done():
		return errors.New("the stream does not end")
	}
	if code == codes.OK && s.err == io.EOF {
		return nil
	}
	if got := status.Convert(s.err); got.Code() != code {
		return fmt.Errorf("%v, expected %v", s.err, code)
	}
	return holds(s.err, words)
}

func runStream(w *way) error {
	var r report
	echoing, stop, err := serve(w.destination, echo)
	if err != nil {
		return err
	}
	defer stop()
	silent, stopSilent, err := deaf(w.destination)
	if err != nil {
		return err
	}
	defer stopSilent()
	within := func(what string, check func(context.Context, *calls) error) {
		r.within(40*time.Second, what, func(ctx context.Context) error {
			s, err := w.open(ctx)
			if err != nil {
				return err
			}
			defer s.connection.Close()
			return check(ctx, s)
		})
	}
	within("64 connections on one stream echo 256 KiB each", func(ctx context.Context, s *calls) error { return together(ctx, s, echoing, 64, 256<<10) })
	within("one that stands still does not stop 16 others", func(ctx context.Context, s *calls) error { return besideStalled(ctx, s, w, echoing) })
	within("one that keeps the stream's window is cut, with a reason", func(ctx context.Context, s *calls) error { return blocksOthers(ctx, s, w, echoing) })
	within("a dial that was closed is not answered, and the stream lives on", func(ctx context.Context, s *calls) error { return cancels(ctx, s, silent, echoing) })
	within("connections that there are not are told so", func(ctx context.Context, s *calls) error { return strangers(ctx, s) })
	within("another stream's connection is not ours", func(ctx context.Context, s *calls) error { return notOurs(ctx, s, w, echoing) })
	within("a message of 4 MiB passes", func(ctx context.Context, s *calls) error { return together(ctx, s, echoing, 1, 4<<20-64) })
	within("the client's half-close ends with OK", func(ctx context.Context, s *calls) error {
		if _, err := s.dial(ctx, 1, echoing); err != nil {
			return err
		}
		s.CloseSend()
		return s.ends(ctx, codes.OK, "")
	})
	within("a protocol that is not tcp", func(ctx context.Context, s *calls) error {
		select {
		case answer := <-s.begin(1<<62+1, "udp", echoing):
			if answer.Random != 1<<62+1 || answer.ConnectID != 0 {
				return fmt.Errorf("%v", answer)
			}
			return holds(errors.New(answer.Error), "the protocol is not tcp")
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	within("a message over 4 MiB", func(ctx context.Context, s *calls) error {
		s.data(1, make([]byte, 4<<20))
		return s.ends(ctx, codes.ResourceExhausted, "more than 4194304 bytes")
	})
	within("2000 dials at once: the stream ends, not the connection", func(ctx context.Context, s *calls) error { return flood(ctx, s, w, silent) })
	r.within(20*time.Second, "compressed messages are refused", func(ctx context.Context) error {
		s, err := w.open(ctx, grpc.UseCompressor(gzip.Name))
		if err != nil {
			return err
		}
		defer s.connection.Close()
		return s.ends(ctx, codes.Unimplemented, "compressed")
	})
	for _, method := range []string{"/ProxyService/Other", "/AgentService/Connect"} {
		r.within(20*time.Second, method+" is not implemented", func(ctx context.Context) error { return unknown(ctx, w, method) })
	}
	return r.end()
}

// together: each connection's bytes come back, and nobody else's; then each is closed.
func together(ctx context.Context, s *calls, address string, count, size int) error {
	var all sync.WaitGroup
	failed := make(chan error, count)
	for i := range count {
		all.Go(func() {
			failed <- func() error {
				c, err := s.dial(ctx, int64(i)+1, address)
				if err != nil {
					return err
				}
				sent := make([]byte, size)
				noise(sent, uint64(i)*1_000_003)
				piece := 10_000
				if count == 1 {
					piece = size
				}
				for at := 0; at < size; at += piece {
					if err := s.data(c.id, sent[at:min(at+piece, size)]); err != nil {
						return err
					}
				}
				got, err := c.read(ctx, size)
				if err != nil || !bytes.Equal(got, sent) {
					return fmt.Errorf("connection %d: %d bytes, %v", i, len(got), err)
				}
				s.closeRequest(c.id)
				text, err := c.closed(ctx)
				if err == nil && text != "" {
					err = errors.New(text)
				}
				return err
			}()
		})
	}
	all.Wait()
	close(failed)
	var err error
	for each := range failed {
		err = errors.Join(err, each)
	}
	return err
}

func standing(ctx context.Context, s *calls, w *way) (*conn, func(), error) {
	until := make(chan struct{})
	address, stop, err := serve(w.destination, stands(until))
	if err != nil {
		return nil, nil, err
	}
	c, err := s.dial(ctx, 1_000_000, address)
	return c, func() { close(until); stop() }, err
}

// besideStalled: what the kernel takes for a destination that does not read, and the connection's own budget.
func besideStalled(ctx context.Context, s *calls, w *way, echoing string) error {
	c, stop, err := standing(ctx, s, w)
	if err != nil {
		return err
	}
	defer stop()
	for range 8 {
		if err := s.data(c.id, make([]byte, 32<<10)); err != nil {
			return err
		}
	}
	begun := time.Now()
	if err := together(ctx, s, echoing, 16, 512<<10); err != nil {
		return err
	}
	if took := time.Since(begun); took > 20*time.Second {
		return fmt.Errorf("it took %v", took)
	}
	return nil
}

func blocksOthers(ctx context.Context, s *calls, w *way, echoing string) error {
	c, stop, err := standing(ctx, s, w)
	if err != nil {
		return err
	}
	defer stop()
	other, err := s.dial(ctx, 2, echoing)
	if err != nil {
		return err
	}
	go func() {
		for range 2000 { // more than the kernel takes
			if s.data(c.id, make([]byte, 32<<10)) != nil {
				return
			}
		}
	}()
	text, err := c.closed(ctx)
	if err != nil {
		return fmt.Errorf("it is not cut: %w", err)
	}
	if err := holds(errors.New(text), "took no data"); err != nil {
		return err
	}
	if err := s.data(other.id, []byte("hello")); err != nil {
		return err
	}
	got, err := other.read(ctx, 5)
	if err != nil || string(got) != "hello" {
		return fmt.Errorf("the other hears %q, %v", got, err)
	}
	return nil
}

func cancels(ctx context.Context, s *calls, silent, echoing string) error {
	answers := s.begin(77, "tcp", silent)
	time.Sleep(50 * time.Millisecond)
	s.send(&client.Packet{Type: client.PacketType_DIAL_CLS, Payload: &client.Packet_CloseDial{CloseDial: &client.CloseDial{Random: 77}}})
	if err := together(ctx, s, echoing, 4, 1000); err != nil {
		return err
	}
	select {
	case answer := <-answers:
		return fmt.Errorf("it is answered: %v", answer)
	default:
		return nil
	}
}

func strangers(ctx context.Context, s *calls) error {
	s.data(0, []byte("to nobody"))
	s.data(12345, []byte("to whom?"))
	s.closeRequest(54321)
	want := map[int64]string{12345: "unrecognized connectID", 54321: "Unknown connectID"}
	for range len(want) {
		select {
		case answer := <-s.strangers:
			if want[answer.ConnectID] != answer.Error || answer.Error == "" {
				return fmt.Errorf("%v", answer)
			}
			delete(want, answer.ConnectID)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func notOurs(ctx context.Context, s *calls, w *way, echoing string) error {
	other, err := w.open(ctx)
	if err != nil {
		return err
	}
	defer other.connection.Close()
	theirs, err := other.dial(ctx, 1, echoing)
	if err != nil {
		return err
	}
	s.data(theirs.id, []byte("intruder"))
	s.closeRequest(theirs.id)
	select {
	case answer := <-s.strangers:
		if answer.ConnectID != theirs.id {
			return fmt.Errorf("%v", answer)
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	other.data(theirs.id, []byte("owner"))
	got, err := theirs.read(ctx, 5)
	if err != nil || string(got) != "owner" {
		return fmt.Errorf("%q, %v", got, err)
	}
	return nil
}

func flood(ctx context.Context, s *calls, w *way, silent string) error {
	other, err := client.NewProxyServiceClient(s.connection).Proxy(ctx)
	if err != nil {
		return err
	}
	answers := make(chan *client.DialResponse, 4000)
	s.waiting.Lock()
	for i := range int64(2000) {
		s.dials[i+1] = answers
	}
	s.waiting.Unlock()
	for i := range int64(2000) {
		if s.send(&client.Packet{Payload: &client.Packet_DialRequest{DialRequest: &client.DialRequest{
			Protocol: "tcp", Address: silent, Random: i + 1}}}) != nil {
			break
		}
	}
	// Either each is refused for its limit, or there were too many on the stream.
	select {
	case <-s.over:
		if err := s.ends(ctx, codes.ResourceExhausted, "too many connections"); err != nil {
			return err
		}
	case <-time.After(5 * time.Second):
		if len(answers) == 0 {
			return errors.New("nothing is refused")
		}
	}
	return other.Send(&client.Packet{Type: client.PacketType_DRAIN, Payload: &client.Packet_Drain{Drain: &client.Drain{}}})
}

func unknown(ctx context.Context, w *way, method string) error {
	target, options, err := w.target()
	if err != nil {
		return err
	}
	connection, err := grpc.DialContext(ctx, target, options...)
	if err != nil {
		return err
	}
	defer connection.Close()
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		return err
	}
	err = stream.RecvMsg(&client.Packet{})
	if status.Code(err) != codes.Unimplemented {
		return fmt.Errorf("%v", err)
	}
	return nil
}
