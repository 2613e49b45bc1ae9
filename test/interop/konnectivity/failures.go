// failures: dials that fail, clients that leave, requests that are given up. Everybody is told, and nothing stays behind.
package main

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/apiserver-network-proxy/konnectivity-client/pkg/client"
	"sigs.k8s.io/apiserver-network-proxy/konnectivity-client/pkg/client/metrics"
	"sigs.k8s.io/apiserver-network-proxy/proto/header"
)

var failures = []act{
	{"a destination that refuses", 30 * time.Second, "", false, refused},
	{"a name that does not resolve", 30 * time.Second, "", false, unknownName},
	{"a destination that does not answer the agent", 30 * time.Second, "", false, timesOut},
	{"an agent that does not answer, and a client that gives up", 30 * time.Second, frontSingle, false, givenUp},
	{"a client that leaves while its dial waits for an agent", 30 * time.Second, frontConnect, true, leaves},
	{"an agent that does not answer is not waited for without end", 60 * time.Second, "", true, silence},
	{"an agent that is lost while a dial waits for it", 30 * time.Second, "", true, lostInDial},
	{"a tunnel whose time is over before it begins", 30 * time.Second, frontSingle, false, tooLate},
	{"a request whose time is over before its answer", 30 * time.Second, "", false, deadline},
	{"a tunnel that is cancelled under a request", 30 * time.Second, frontSingle, false, cancelled},
	{"50 requests given up at once", 60 * time.Second, "", false, fifty},
	{"no agent at all", 30 * time.Second, "", false, nobody},
}

// refusedWith: a dial fails, by CONNECT with this code, and its words are in the error.
func (s *scene) refusedWith(err error, code int, words string) {
	s.need(holds(err, words))
	var r *refusal
	if s.connect {
		s.must(errors.As(err, &r) && r.code == code, "%v, expected %d", err, code)
	}
}

func refused(s *scene) {
	srv := s.server(asked{})
	s.agent(srv, "refused", "")
	before := agentMetric("endpoint_dial_failure_total", "unknown")
	err := dialOnly(s.ctx, s.dialer(srv), s.refusing())
	s.refusedWith(err, http.StatusBadGateway, "connection refused")
	s.metric(srv, `dial_failure_count{reason="error_response"}`, 1)
	s.must(agentMetric("endpoint_dial_failure_total", "unknown") == before+1, "the agent has not counted it")
	s.metric(srv, "pending_backend_dials", 0)
}

func unknownName(s *scene) {
	srv := s.server(asked{})
	s.agent(srv, "names", "")
	err := dialOnly(s.ctx, s.dialer(srv), "no-such-node.invalid:80")
	s.refusedWith(err, http.StatusBadGateway, "no such host")
	s.metric(srv, `dial_failure_count{reason="error_response"}`, 1)
}

func timesOut(s *scene) {
	srv := s.server(asked{})
	s.agent(srv, "patient", "")
	before := agentMetric("endpoint_dial_failure_total", "timeout")
	begun := time.Now()
	err := dialOnly(s.ctx, s.dialer(srv), s.blackhole())
	s.refusedWith(err, http.StatusGatewayTimeout, "timeout")
	took := time.Since(begun)
	s.must(took > 4*time.Second && took < 9*time.Second, "it took %v", took)
	s.metric(srv, `dial_failure_count{reason="error_response"}`, 1)
	s.must(agentMetric("endpoint_dial_failure_total", "timeout") == before+1, "the agent has not counted it")
}

func givenUp(s *scene) {
	srv := s.server(asked{})
	s.rawAgent(srv, header.AgentID, "silent")
	target, options, err := srv.front.target()
	s.need(err)
	tunnel, err := client.CreateSingleUseGrpcTunnelWithContext(s.ctx, context.Background(), target, options...)
	s.need(err)
	short, cancel := context.WithTimeout(s.ctx, time.Second)
	defer cancel()
	_, err = tunnel.DialContext(short, "tcp", s.blackhole())
	is, reason := client.GetDialFailureReason(err)
	s.must(is && reason == metrics.DialFailureContext, "the dial ends with %v", err)
	s.over(tunnel)
	s.metric(srv, `dial_failure_count{reason="frontend_close"}`, 1)
}

func (s *scene) over(tunnel client.Tunnel) {
	select {
	case <-tunnel.Done():
	case <-time.After(12 * time.Second):
		s.failf("the tunnel does not end")
	}
}

func leaves(s *scene) {
	srv := s.server(asked{})
	s.rawAgent(srv, header.AgentID, "silent")
	c, err := srv.front.reach(s.ctx)
	s.need(err)
	io.WriteString(c, "CONNECT "+s.blackhole()+" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
	s.metric(srv, "pending_backend_dials", 1)
	c.Close()
	s.metric(srv, "pending_backend_dials", 0)
}

func silence(s *scene) {
	srv := s.server(asked{})
	s.rawAgent(srv, header.AgentID, "silent")
	begun := time.Now()
	err := dialOnly(s.ctx, s.dialer(srv), s.blackhole())
	s.must(err != nil, "a silent agent's dial succeeds")
	s.must(time.Since(begun) < 29*time.Second, "the client gives up first, after %v: %v", time.Since(begun), err)
	s.metric(srv, "pending_backend_dials", 0)
}

func lostInDial(s *scene) {
	srv := s.server(asked{})
	a := s.rawAgent(srv, header.AgentID, "doomed")
	address := s.blackhole()
	failed := make(chan error, 1)
	dial := s.dialer(srv)
	go func() { failed <- dialOnly(s.ctx, dial, address) }()
	s.metric(srv, "pending_backend_dials", 1)
	a.cut()
	select {
	case err := <-failed:
		s.must(err != nil, "the dial succeeds")
	case <-time.After(time.Second):
		s.failf("the client is not told within a second")
	}
	s.metric(srv, "pending_backend_dials", 0)
}

func tooLate(s *scene) {
	srv := s.server(asked{})
	s.agent(srv, "late", "")
	target, options, err := srv.front.target()
	s.need(err)
	past, cancel := context.WithTimeout(s.ctx, -time.Second)
	defer cancel()
	_, err = client.CreateSingleUseGrpcTunnelWithContext(past, past, target, options...)
	s.need(holds(err, "context deadline exceeded"))
}

// waiting answers when it is let go, and tells that it was asked.
func (s *scene) waiting() (address string, asked chan struct{}, let func()) {
	asked, go_on := make(chan struct{}, 100), make(chan struct{})
	let = sync.OnceFunc(func() { close(go_on) })
	s.atEnd(func() error { let(); return nil })
	return s.http(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-go_on
		io.WriteString(w, "hello")
	}), asked, let
}

func deadline(s *scene) {
	srv := s.server(asked{})
	s.agent(srv, "deadline", "")
	address, _, _ := s.waiting()
	short, cancel := context.WithTimeout(s.ctx, time.Second)
	defer cancel()
	ask, err := http.NewRequestWithContext(short, http.MethodGet, "http://"+address+"/", nil)
	s.need(err)
	_, err = s.client(s.dialer(srv)).Do(ask)
	s.need(holds(err, "context deadline exceeded"))
	s.emptied()
}

func cancelled(s *scene) {
	srv := s.server(asked{})
	s.agent(srv, "cancelled", "")
	address, asked, _ := s.waiting()
	target, options, err := srv.front.target()
	s.need(err)
	life, cancel := context.WithCancel(s.ctx)
	defer cancel()
	tunnel, err := client.CreateSingleUseGrpcTunnelWithContext(s.ctx, life, target, options...)
	s.need(err)
	go func() { <-asked; cancel() }()
	c := s.client(func(ctx context.Context, address string) (net.Conn, error) {
		return tunnel.DialContext(ctx, "tcp", address)
	})
	ask, err := http.NewRequestWithContext(life, http.MethodGet, "http://"+address+"/", nil)
	s.need(err)
	_, err = c.Do(ask)
	s.need(holds(err, "context canceled"))
	s.over(tunnel)
	s.emptied()
}

func fifty(s *scene) {
	srv := s.server(asked{})
	s.agent(srv, "fifty", "")
	address, _, _ := s.waiting()
	dial := s.dialer(srv)
	s.need(crowd(50, func(ctx context.Context, dial dialFunc, address string) error {
		given, cancel := context.WithTimeout(ctx, time.Second+rand.N(time.Second))
		defer cancel()
		ask, err := http.NewRequestWithContext(given, http.MethodGet, "http://"+address+"/", nil)
		if err != nil {
			return err
		}
		if _, err = s.client(dial).Do(ask); err == nil || !strings.Contains(err.Error(), "context deadline exceeded") {
			return errors.Join(errors.New("it is not the context that ends the request"), err)
		}
		return nil
	})(s.ctx, dial, address))
	s.emptied()
	s.metric(srv, "pending_backend_dials", 0)
}

func nobody(s *scene) {
	srv := s.server(asked{})
	begun := time.Now()
	err := dialOnly(s.ctx, s.dialer(srv), s.hello())
	s.must(err != nil, "a dial succeeds without an agent")
	s.must(time.Since(begun) < 2*time.Second, "it took %v", time.Since(begun))
	s.need(holds(err, "gent")) // both say that it is for want of one
	s.metric(srv, `ready_backends{proxy_strategy="default"}`, 0)
}
