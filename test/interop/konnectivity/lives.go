// lives: agents that end, return, drain and come twice; servers that are restarted, and three of them behind a balancer.
package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

var lives = []act{
	{"a connection whose agent is gone fails at once, and new ones go when one is back", 60 * time.Second, "", false, returns},
	{"an agent that is cut off is noticed at once", 60 * time.Second, "", false, cutOff},
	{"a server that is restarted has its agent back", 90 * time.Second, "", false, restarted},
	{"three servers behind a balancer, one replaced", 90 * time.Second, "", false, three},
	{"a second stream of the same agent does not disturb the first", 60 * time.Second, "", false, twice},
	{"an agent that drains still serves if it is alone", 30 * time.Second, "", false, drainsAlone},
	{"readiness follows the agents", 30 * time.Second, "", false, readiness},
	{"an agent that offers a protocol of its own in ALPN", 30 * time.Second, "", false, alpn},
}

func returns(s *scene) {
	srv := s.server(asked{})
	a := s.agent(srv, "first", "")
	address, dial := s.hello(), s.dialer(srv)
	c := s.client(dial)
	s.says(c, address, "hello")
	a.stop()
	s.metric(srv, `ready_backends{proxy_strategy="default"}`, 0)
	begun := time.Now()
	_, err := s.get(c, address)
	s.must(err != nil, "a request on a lost connection succeeds")
	s.must(!os.IsTimeout(err) && time.Since(begun) < 2*time.Second, "it ends by time, after %v: %v", time.Since(begun), err)
	s.agent(srv, "second", "")
	s.says(s.client(dial), address, "hello")
}

func cutOff(s *scene) {
	srv := s.server(asked{})
	a := s.agent(srv, "cut", "")
	c, err := s.dialer(srv)(s.ctx, s.listen(echo))
	s.need(err)
	defer c.Close()
	_, err = io.WriteString(c, "x")
	s.need(err)
	_, err = io.ReadFull(c, make([]byte, 1))
	s.need(err)
	over := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		over <- err
	}()
	a.die()
	select {
	case err := <-over:
		s.must(err != nil, "bytes come from nowhere")
	case <-time.After(time.Second):
		s.failf("the client is not told within a second")
	}
	s.metric(srv, "established_connections", 0)
}

func restarted(s *scene) {
	srv := s.server(asked{id: "one"})
	a := s.agent(srv, "faithful", "")
	address := s.hello()
	s.saysOnce(srv, address)
	_, port, _ := net.SplitHostPort(srv.agents)
	number, err := strconv.Atoi(port)
	s.need(err)
	if err := srv.stop(); err != nil {
		s.failf("the first one: %w", err)
	}
	s.connected(a, 0)
	srv = s.server(asked{id: "two", agentPort: number})
	s.connected(a, 1)
	s.saysOnce(srv, address)
}

// balancer is a TCP balancer that chooses by chance.
type balancer struct {
	mutex  sync.Mutex
	behind []string
}

func (b *balancer) set(behind ...string) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.behind = behind
}

func (b *balancer) carry(in *net.TCPConn) {
	b.mutex.Lock()
	to := b.behind[rand.IntN(len(b.behind))]
	b.mutex.Unlock()
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	go func() {
		io.Copy(out, in)
		out.Close()
		in.Close()
	}()
	io.Copy(in, out)
}

func three(s *scene) {
	var servers []*server
	for range 3 {
		servers = append(servers, s.server(asked{count: 3}))
	}
	b := &balancer{}
	b.set(servers[0].agents, servers[1].agents, servers[2].agents)
	address := s.hello()
	a := s.agentTo(s.listen(b.carry), "wide", "")
	s.connected(a, 3)
	for _, srv := range servers {
		s.saysOnce(srv, address)
	}
	b.set(servers[1].agents, servers[2].agents)
	if err := servers[0].stop(); err != nil {
		s.failf("the one that is replaced: %w", err)
	}
	s.connected(a, 2)
	servers[0] = s.server(asked{count: 3})
	b.set(servers[0].agents, servers[1].agents, servers[2].agents)
	s.connected(a, 3)
	for _, srv := range servers {
		s.saysOnce(srv, address)
	}
}

func twice(s *scene) {
	srv := s.server(asked{})
	s.agent(srv, "twin", "")
	address, asked, let := s.waiting()
	dial := s.dialer(srv)
	answer := make(chan error, 1)
	go func() {
		got, err := s.get(s.client(dial), address)
		if err == nil && got != "hello" {
			err = fmt.Errorf("another answer: %q", got)
		}
		answer <- err
	}()
	<-asked
	other := s.agent(srv, "twin", "")
	s.metric(srv, `ready_backends{proxy_strategy="default"}`, 1)
	s.says(s.client(dial), s.hello(), "hello")
	other.die()
	time.Sleep(300 * time.Millisecond)
	s.metric(srv, `ready_backends{proxy_strategy="default"}`, 1)
	let()
	select {
	case err := <-answer:
		s.need(err)
	case <-s.ctx.Done():
		s.failf("the first stream's request is not answered")
	}
	s.says(s.client(dial), address, "hello")
}

func drainsAlone(s *scene) {
	srv := s.server(asked{})
	a := s.agent(srv, "drains", "")
	dial := s.dialer(srv)
	c, err := dial(s.ctx, s.listen(echo))
	s.need(err)
	close(a.drain)
	time.Sleep(300 * time.Millisecond)
	s.says(s.client(dial), s.hello(), "hello")
	s.need(exchange(c, "as before"))
	s.need(c.Close())
}

func readiness(s *scene) {
	lonely := s.agentTo(s.refusing(), "lonely", "")
	srv := s.server(asked{})
	s.must(!srv.ready(), "the server is ready without an agent")
	a := s.agent(srv, "ready", "")
	s.must(srv.ready(), "the server is not ready with an agent")
	s.must(lonely.set.HealthyClientsCount() == 0, "an agent without a server is ready")
	a.die()
	s.eventually(5*time.Second, "the server is not ready when its agent is gone", func() bool { return !srv.ready() })
}

func alpn(s *scene) {
	srv := s.server(asked{})
	a, err := startAgent(s.pki, srv.agents, "alpn", "", "test-proto", "h2")
	s.need(err)
	s.atEnd(func() error { a.die(); return nil })
	s.connected(a, 1)
	s.says(s.client(s.dialer(srv)), s.hello(), "hello")
}
