// crowds: ten thousand dials that nobody answers, a thousand tunnels through one agent that dies, a hundred agents at once.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"sigs.k8s.io/apiserver-network-proxy/konnectivity-client/proto/client"
	"sigs.k8s.io/apiserver-network-proxy/proto/header"
)

var crowds = []act{
	{"10,000 dials that are never answered", 120 * time.Second, frontShared, true, manyDials},
	{"an agent dies under 1,000 tunnels", 60 * time.Second, "", false, thousand},
	{"an agent falls silent under 100 tunnels", 60 * time.Second, "", true, fallsSilent},
	{"100 agents come back at once", 60 * time.Second, "", false, hundred},
	{"50 streams with one agentid", 30 * time.Second, "", false, manyTwins},
}

// manyDials: 10,000 at once, each is refused or given up in time, and the server remembers none of them.
func manyDials(scene *scene) {
	const streams, each = 20, 500
	s := scene.beside()
	go s.bad().serveBad(func(int64) (int64, bool) { return 0, false })
	before := s.srv.residentKiB()
	begun := time.Now()
	var refused, slowest atomic.Int64
	failed := make(chan error, streams)
	for i := range streams {
		go func() { failed <- s.dialMany(int64(i)*each, each, begun, &refused, &slowest) }()
	}
	peak := 0
	var err error
	for left := streams; left > 0; {
		select {
		case e := <-failed:
			err = errors.Join(err, e)
			left--
		case <-time.After(100 * time.Millisecond):
		}
		peak = max(peak, s.srv.residentKiB())
	}
	s.need(err)
	fmt.Printf("   %d dials failed, the last after %v; the server's memory went from %d to %d KiB\n", refused.Load(),
		time.Duration(slowest.Load()).Round(time.Millisecond), before, peak)
	s.must(refused.Load() == streams*each, "%d of %d failed", refused.Load(), streams*each)
	s.must(peak < before+s.memory<<10, "the server's memory went from %d to %d KiB", before, peak)
	s.metric(s.srv, "pending_backend_dials", 0)
}

func (s *stage) dialMany(from int64, count int, begun time.Time, refused, slowest *atomic.Int64) error {
	calls, err := s.srv.front.open(s.ctx)
	if err != nil {
		return err
	}
	defer calls.connection.Close()
	answers := make(chan *client.DialResponse, count)
	calls.waiting.Lock()
	for i := range int64(count) {
		calls.dials[from+i+1] = answers
	}
	calls.waiting.Unlock()
	for i := range int64(count) {
		if err := calls.send(&client.Packet{Payload: &client.Packet_DialRequest{DialRequest: &client.DialRequest{
			Protocol: "tcp", Address: badHost + ":443", Random: from + i + 1}}}); err != nil {
			return err
		}
	}
	limit := time.After(25 * time.Second)
	for range count {
		select {
		case answer := <-answers:
			if answer.Error == "" {
				return errors.New("a dial succeeds")
			}
			refused.Add(1)
		case <-calls.over:
			return calls.err
		case <-limit:
			return errors.New("a dial is not answered within 25 s")
		}
	}
	for took := int64(time.Since(begun)); ; {
		was := slowest.Load()
		if took <= was || slowest.CompareAndSwap(was, took) {
			return nil
		}
	}
}

// tunnels through an agent by hand, count of them.
func (s *stage) tunnels(a *rawAgent, count int) []net.Conn {
	var number atomic.Int64
	go a.serveBad(func(int64) (int64, bool) { return number.Add(1), true })
	var mutex sync.Mutex
	var all []net.Conn
	room := make(chan struct{}, 100)
	dials := []dialFunc{s.dialer(s.srv), s.dialer(s.srv), s.dialer(s.srv), s.dialer(s.srv)} // if they share a connection: four
	s.need(crowd(count, func(ctx context.Context, _ dialFunc, address string) error {
		room <- struct{}{}
		defer func() { <-room }()
		c, err := dials[number.Load()%4](ctx, address)
		if err == nil {
			mutex.Lock()
			all = append(all, c)
			mutex.Unlock()
		}
		return err
	})(s.ctx, s.dial, badHost+":443"))
	return all
}

func (s *stage) allEnd(all []net.Conn, limit time.Duration, what string) {
	begun := time.Now()
	over := make(chan error, len(all))
	for _, c := range all {
		go func() { over <- endsWithin(c, limit) }()
	}
	var err error
	for range all {
		err = errors.Join(err, <-over)
	}
	if err != nil {
		s.failf("%s: %w", what, err)
	}
	fmt.Printf("   %d clients were told within %v\n", len(all), time.Since(begun).Round(time.Millisecond))
}

func thousand(scene *scene) {
	s := scene.beside()
	a := s.bad()
	all := s.tunnels(a, 1000)
	a.cut()
	s.allEnd(all, time.Second, "an agent that is cut off")
	s.eventually(5*time.Second, "no connection of the dead agent is left", func() bool { // but some of the good one's
		open, err := s.srv.metric("established_connections")
		return err == nil && open < 200
	})
}

// fallsSilent: the agent's node is lost without a word, TCP's included as far as the server can see.
func fallsSilent(scene *scene) {
	s := scene.besideWith(asked{agents: ", keepaliveMs: 1000, keepaliveTimeoutMs: 1000"})
	b := &silencer{to: s.srv.agents}
	address := s.listen(b.carry)
	a, err := connectRaw(s.ctx, s.pki, address, header.AgentID, "bad", header.AgentIdentifiers, "ipv4="+badHost)
	s.need(err)
	s.atEnd(func() error { a.end(); return nil })
	time.Sleep(100 * time.Millisecond)
	all := s.tunnels(a, 100)
	b.silent.Store(true)
	s.allEnd(all, 5*time.Second, "an agent that says nothing any more")
}

// silencer carries bytes until it is told not to; its connections stand.
type silencer struct {
	to     string
	silent atomic.Bool
}

func (b *silencer) carry(in *net.TCPConn) {
	out, err := net.Dial("tcp", b.to)
	if err != nil {
		return
	}
	defer out.Close()
	carry := func(to io.Writer, from io.Reader) {
		room := make([]byte, 64<<10)
		for {
			n, err := from.Read(room)
			if err != nil {
				return
			}
			if !b.silent.Load() {
				to.Write(room[:n])
			}
		}
	}
	go carry(out, in)
	carry(in, out)
}

func hundred(scene *scene) {
	s := scene.beside()
	var all []*agent
	for i := range 100 {
		all = append(all, s.agentTo(s.srv.agents, fmt.Sprintf("agent-%d", i), fmt.Sprintf("ipv4=127.66.0.%d", i+1)))
	}
	back := func() bool {
		for _, a := range all {
			if a.set.HealthyClientsCount() != 1 {
				return false
			}
		}
		return true
	}
	s.eventually(20*time.Second, "100 agents are connected", back)
	s.metric(s.srv, `ready_backends{proxy_strategy="destHost"}`, 101)
	for range 3 {
		for _, a := range all {
			a.cut()
		}
		time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
		begun := time.Now()
		s.eventually(15*time.Second, "100 agents are back", back)
		s.metric(s.srv, `ready_backends{proxy_strategy="destHost"}`, 101)
		fmt.Printf("   100 agents were back after %v\n", time.Since(begun).Round(time.Millisecond))
	}
}

func manyTwins(scene *scene) {
	s := scene.beside()
	var all []*rawAgent
	for range 50 {
		a := s.bad()
		go func() {
			for {
				p, err := a.Recv()
				if err != nil {
					return
				}
				if p.Type == client.PacketType_DIAL_REQ {
					a.answer(p.GetDialRequest().Random, 0, "this is bad")
				}
			}
		}()
		all = append(all, a)
	}
	s.metric(s.srv, `ready_backends{proxy_strategy="destHost"}`, 2)
	rand.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	for _, a := range all[1:] {
		s.asks(s.dial, badHost+":443", "bad")
		a.end()
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	s.asks(s.dial, badHost+":443", "bad")
}
