// choices: which agent a dial goes through, and which agents are none. Raw agents here, which tell what they were asked.
package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/apiserver-network-proxy/konnectivity-client/proto/client"
	"sigs.k8s.io/apiserver-network-proxy/proto/header"
)

var choices = []act{
	{"whoever drains is asked last", 30 * time.Second, "", false, drainsLast},
	{"destHost, defaultRoute and default, in their order", 60 * time.Second, "", false, strategies},
	{"a strategy that has no agent, alone", 30 * time.Second, "", false, alone},
	{"agents without a name, with two, or with identifiers that are none", 30 * time.Second, frontSingle, false, malformed},
	{"agents without a certificate", 30 * time.Second, frontSingle, false, uncertified},
}

// refuser is an agent that answers every dial with its own name as the error, so that a client tells who was asked.
func (s *scene) refuser(srv *server, name, identifiers string) *rawAgent {
	a := s.rawAgent(srv, header.AgentID, name, header.AgentIdentifiers, identifiers)
	go func() {
		for {
			p, err := a.Recv()
			if err != nil {
				return
			}
			if p.Type == client.PacketType_DIAL_REQ {
				a.answer(p.GetDialRequest().Random, 0, "this is "+name)
			}
		}
	}()
	return a
}

// asks: a dial to the address goes through the agent of this name.
func (s *scene) asks(dial dialFunc, address, name string) {
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
	defer cancel()
	if err := holds(dialOnly(ctx, dial, address), "this is "+name); err != nil {
		s.failf("%s: %w", address, err)
	}
}

func drainsLast(s *scene) {
	srv := s.server(asked{})
	leaving := s.refuser(srv, "leaving", "")
	s.need(leaving.send(&client.Packet{Type: client.PacketType_DRAIN, Payload: &client.Packet_Drain{Drain: &client.Drain{}}}))
	time.Sleep(200 * time.Millisecond)
	dial := s.dialer(srv)
	s.asks(dial, net.JoinHostPort(s.destination, "443"), "leaving")
	staying := s.refuser(srv, "staying", "")
	for range 20 {
		s.asks(dial, net.JoinHostPort(s.destination, "443"), "staying")
	}
	staying.end()
	s.metric(srv, `ready_backends{proxy_strategy="default"}`, 1)
	s.asks(dial, net.JoinHostPort(s.destination, "443"), "leaving")
}

func strategies(s *scene) {
	srv := s.server(asked{strategies: "destHost,defaultRoute,default"})
	dial := s.dialer(srv)
	plain := s.refuser(srv, "plain", "")
	at := func(last int) string { return fmt.Sprintf("127.65.0.%d:443", last) }
	s.asks(dial, at(1), "plain")
	route := s.refuser(srv, "route", "default-route=true")
	s.asks(dial, at(1), "route")
	s.refuser(srv, "host", "ipv4=127.65.0.1&host=node.invalid&ipv4=127.65.0.2")
	s.asks(dial, at(1), "host")
	s.asks(dial, at(2), "host")
	s.asks(dial, "node.invalid:443", "host")
	s.asks(dial, at(3), "route")
	s.asks(dial, "other.invalid:443", "route")
	s.metric(srv, `ready_backends{proxy_strategy="destHost"}`, 3)
	s.metric(srv, `ready_backends{proxy_strategy="defaultRoute"}`, 1)
	s.metric(srv, `ready_backends{proxy_strategy="default"}`, 3)
	route.end()
	s.metric(srv, `ready_backends{proxy_strategy="defaultRoute"}`, 0)
	plainOrHost := dialOnly(s.ctx, dial, at(3))
	s.must(holds(plainOrHost, "this is plain") == nil || holds(plainOrHost, "this is host") == nil, "%v", plainOrHost)
	plain.end()
	s.metric(srv, `ready_backends{proxy_strategy="default"}`, 1)
	s.asks(dial, at(3), "host")
}

func alone(s *scene) {
	srv := s.server(asked{strategies: "destHost"})
	dial := s.dialer(srv)
	s.refuser(srv, "host", "ipv4=127.65.0.1")
	s.asks(dial, "127.65.0.1:443", "host")
	err := dialOnly(s.ctx, dial, "127.65.0.2:443")
	s.must(err != nil && holds(err, "this is") != nil, "an agent is asked that is none for it: %v", err)
	s.need(holds(err, "gent"))
}

func malformed(s *scene) {
	srv := s.server(asked{})
	long := fmt.Sprintf("ipv4=1.2.3.4&host=%0250d", 7)
	for _, each := range []struct {
		what  string
		pairs []string
		good  bool
	}{
		{"no agentid", nil, false},
		{"two agentids", []string{header.AgentID, "a", header.AgentID, "b"}, false},
		{"two lists of identifiers", []string{header.AgentID, "a", header.AgentIdentifiers, "", header.AgentIdentifiers, ""}, false},
		{"a bad escape", []string{header.AgentID, "a", header.AgentIdentifiers, "host=%zz"}, false},
		{"a semicolon", []string{header.AgentID, "a", header.AgentIdentifiers, "host=a;host=b"}, false},
		{"no identifiers", []string{header.AgentID, "a"}, true},
		{"empty identifiers", []string{header.AgentID, "a", header.AgentIdentifiers, ""}, true},
		{"identifiers that nobody knows", []string{header.AgentID, "a", header.AgentIdentifiers, "uid=5&color=blue"}, true},
		{"a long host", []string{header.AgentID, "a", header.AgentIdentifiers, long}, true},
	} {
		a, err := connectRaw(s.ctx, s.pki, srv.agents, each.pairs...)
		if err == nil {
			a.end()
		}
		if each.good {
			s.must(err == nil, "%s: %v", each.what, err)
		} else {
			s.must(err != nil, "%s: it is an agent", each.what)
			s.must(status.Code(err) == codes.Unknown, "%s: %v", each.what, err)
		}
	}
	s.metric(srv, `ready_backends{proxy_strategy="default"}`, 0)
}

func uncertified(s *scene) {
	srv := s.server(asked{})
	other := *s.pki
	other.clientCert, other.clientKey = "", ""
	ctx, cancel := context.WithTimeout(s.ctx, 3*time.Second)
	defer cancel()
	a, err := connectRaw(ctx, &other, srv.agents, header.AgentID, "nobody")
	if err == nil {
		a.end()
	}
	s.must(err != nil, "it is an agent")
	s.must(status.Code(err) == codes.Unavailable, "%v", err) // the alert, or the end, whichever the library sees first
	s.metric(srv, `ready_backends{proxy_strategy="default"}`, 0)
}
