// weather: longer scenes. Agents that are cut again and again under load, a server that drains, a reader that takes a rest.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var weather = []act{
	{"agents come and go under load", 60 * time.Second, "", true, storm},
	{"a reader that rests for 15 s has every byte", 60 * time.Second, frontConnect, false, rests},
	{"a server that drains lets its tunnels end", 30 * time.Second, "", true, drainsServer},
}

func runWeather(w *world) error {
	if err := w.prepare(); err != nil {
		return err
	}
	var r report
	if err := w.playAll(&r, weather); err != nil {
		return err
	}
	return r.end()
}

// storm: every exchange is right, or it ends; none hangs, and nothing is left when all is over.
func storm(s *scene) {
	srv := s.server(asked{})
	var agents []*agent
	for i := range 3 {
		agents = append(agents, s.agent(srv, fmt.Sprintf("agent-%d", i), ""))
	}
	dial, address := s.dialer(srv), s.listen(echo)
	ctx, cancel := context.WithTimeout(s.ctx, 12*time.Second)
	defer cancel()
	var whole, torn atomic.Int64
	var all sync.WaitGroup
	wrong := make(chan error, 16)
	for range 16 {
		all.Go(func() {
			for ctx.Err() == nil {
				ended, err := tryEcho(ctx, dial, address, 1+rand.IntN(300_000), rand.IntN(5) == 0)
				switch {
				case err != nil:
					wrong <- err
					return
				case ended:
					whole.Add(1)
				default:
					torn.Add(1)
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
	}
	for ctx.Err() == nil {
		time.Sleep(200*time.Millisecond + rand.N(400*time.Millisecond))
		agents[rand.IntN(len(agents))].cut()
	}
	all.Wait()
	close(wrong)
	var err error
	for each := range wrong {
		err = errors.Join(err, each)
	}
	s.need(err)
	fmt.Printf("   %d exchanges were whole, %d were torn\n", whole.Load(), torn.Load())
	s.must(whole.Load() > 100, "%d exchanges were whole", whole.Load())
	s.emptied()
	s.metric(srv, "established_connections", 0)
	s.metric(srv, "pending_backend_dials", 0)
	for _, a := range agents {
		s.connected(a, 1)
	}
	s.saysOnce(srv, s.hello())
}

// tryEcho: true if everything came back. An error is what must never be: other bytes, or no end.
func tryEcho(ctx context.Context, dial dialFunc, address string, size int, leave bool) (bool, error) {
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), 12*time.Second)
	defer cancel()
	begun := time.Now()
	c, err := dial(short, address)
	if err != nil {
		if short.Err() != nil {
			return false, fmt.Errorf("a dial has no end: %w", err)
		}
		return false, nil
	}
	defer c.Close()
	sent, got, at := make([]byte, size), make([]byte, size), 0
	noise(sent, rand.Uint64())
	go func() {
		for at := 0; at < size; at += 10_000 {
			if _, err := c.Write(sent[at:min(at+10_000, size)]); err != nil {
				return
			}
		}
	}()
	over := make(chan error, 1)
	go func() {
		var err error
		at, err = io.ReadFull(c, got)
		over <- err
	}()
	if leave {
		time.Sleep(rand.N(10 * time.Millisecond))
		c.Close()
	}
	select {
	case err = <-over:
	case <-time.After(12*time.Second - time.Since(begun)):
		return false, fmt.Errorf("an echo of %d bytes has no end", size)
	}
	if !bytes.Equal(got[:at], sent[:at]) {
		return false, fmt.Errorf("other bytes came back, %d of them", at)
	}
	return err == nil, nil
}

// rests: alone on its agent, it is waited for.
func rests(s *scene) {
	srv := s.server(asked{})
	s.agent(srv, "patient", "")
	c, err := s.dialer(srv)(s.ctx, s.listen(blob))
	s.need(err)
	const size = 64 << 20
	s.need(ask(c, size))
	got, want, at := make([]byte, 64<<10), make([]byte, 64<<10), 0
	for at < size {
		if at > 1<<20 && at <= 1<<20+len(got) {
			time.Sleep(15 * time.Second)
		}
		n, err := io.ReadFull(c, got)
		s.need(err)
		noise(want, uint64(at))
		s.must(bytes.Equal(got[:n], want[:n]), "other bytes after %d", at)
		at += n
	}
	c.Close()
	s.emptied()
}

func drainsServer(s *scene) {
	srv := s.server(asked{})
	a := s.agent(srv, "stays", "")
	dial, address := s.dialer(srv), s.listen(echo)
	c, err := dial(s.ctx, address)
	s.need(err)
	s.need(exchange(c, "before"))
	srv.process.Process.Signal(syscall.SIGTERM)
	for range 20 {
		time.Sleep(100 * time.Millisecond)
		s.need(exchange(c, "while it drains"))
	}
	s.must(a.set.HealthyClientsCount() == 1, "the agent has left")
	if other, err := s.dialAnew(srv, address); err == nil {
		other.Close()
		s.failf("a server that drains takes new tunnels")
	}
	s.need(c.Close())
	select {
	case <-srv.ended:
	case <-time.After(10 * time.Second):
		s.failf("the server does not end within 10 s of its last tunnel")
	}
}

// dialAnew dials by a connection of its own, within two seconds.
func (s *scene) dialAnew(srv *server, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(s.ctx, 2*time.Second)
	defer cancel()
	if s.connect {
		return srv.front.connect(ctx, address)
	}
	return srv.front.dial(ctx, address)
}
