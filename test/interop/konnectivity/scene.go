// A world is what all cases of a run have in common; a scene is one case: its server, its agents, its destinations. What a
// scene started ends with it, the server last, and how the server ends is part of the case.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"time"
)

const clientName = "kube-apiserver" // of the front's clients and of agents

type world struct {
	kind, program, self string
	front               string
	connect, mtls       bool
	destination         string
	folder              string
	only                string
	all                 bool
	memory              int
	rounds              int
	window              time.Duration
	json                bool
	pki                 *pki
	servers             int
}

func (w *world) flags(set *flag.FlagSet) {
	set.StringVar(&w.kind, "server", kindStock, "the server under test: hawser, flags (Hawser by the proxy-server's flags) or stock")
	set.StringVar(&w.program, "program", "", "Hawser's program")
	set.StringVar(&w.front, "front", frontSingle, "single, shared or connect")
	set.BoolVar(&w.mtls, "mtls", false, "the front over TCP with mutual TLS, not over a Unix socket")
	set.StringVar(&w.destination, "destination", "127.64.0.1", "address for the destinations")
	set.IntVar(&w.memory, "memory", 160, "MiB that 10,000 unanswered dials may cost; a sanitizer needs more")
	set.IntVar(&w.rounds, "rounds", 3, "stall: rounds without and with the stalled one")
	set.DurationVar(&w.window, "window", 2*time.Second, "stall: how long each is")
	set.BoolVar(&w.json, "json", false, "stall: print figures, judge nothing")
	set.BoolVar(&w.all, "all", false, "the proxy-server, too, is asked for what Hawser does beyond it")
	set.StringVar(&w.only, "only", "", "only the cases whose names have this expression in them")
}

func (w *world) prepare() error {
	w.connect = w.front == frontConnect
	if w.kind != kindStock && w.program == "" {
		return errors.New("-program is missing")
	}
	var err error
	if w.self, err = os.Executable(); err != nil {
		return err
	}
	if w.folder, err = os.MkdirTemp("", "konnectivity."); err != nil {
		return err
	}
	w.pki, err = makePKI(w.folder, clientName, "127.0.0.1")
	return err
}

type scene struct {
	*world
	ctx     context.Context
	endings []func() error
}

// failure is how a scene says that it is over.
type failure struct{ error }

func (s *scene) failf(format string, values ...any) { panic(failure{fmt.Errorf(format, values...)}) }

func (s *scene) need(err error) {
	if err != nil {
		panic(failure{err})
	}
}

func (s *scene) must(holds bool, format string, values ...any) {
	if !holds {
		s.failf(format, values...)
	}
}

func (s *scene) atEnd(end func() error) { s.endings = append(s.endings, end) }

// play runs a case and ends what it started, also if it fails.
func (w *world) play(ctx context.Context, act func(*scene)) (err error) {
	s := &scene{world: w, ctx: ctx}
	func() {
		defer func() {
			if r := recover(); r != nil {
				f, is := r.(failure)
				if !is {
					panic(r)
				}
				err = f.error
			}
		}()
		act(s)
	}()
	for i := len(s.endings) - 1; i >= 0; i-- {
		err = errors.Join(err, s.endings[i]())
	}
	return err
}

type act struct {
	name   string
	limit  time.Duration
	fronts string // of which front it makes sense; empty: of each
	ours   bool   // more than the proxy-server does
	play   func(*scene)
}

func (w *world) playAll(r *report, acts []act) error {
	only, err := regexp.Compile(w.only)
	if err != nil {
		return err
	}
	for _, a := range acts {
		if !only.MatchString(a.name) || (a.fronts != "" && a.fronts != w.front) {
			continue
		}
		if a.ours && w.kind == kindStock && !w.all {
			fmt.Printf("left out: %s: the proxy-server does not\n", a.name)
			continue
		}
		r.within(a.limit, a.name, func(ctx context.Context) error { return w.play(ctx, a.play) })
	}
	return nil
}

// What scenes are made of.

func (s *scene) server(a asked) *server {
	srv, err := startServer(s.world, a)
	s.need(err)
	s.atEnd(srv.stop)
	return srv
}

// agent returns when the agent is connected. The server tells it so before it may be chosen, by a hair.
func (s *scene) agent(srv *server, id, identifiers string) *agent {
	a := s.agentTo(srv.agents, id, identifiers)
	s.connected(a, 1)
	return a
}

func (s *scene) agentTo(address, id, identifiers string) *agent {
	a, err := startAgent(s.pki, address, id, identifiers)
	s.need(err)
	s.atEnd(func() error { a.die(); return nil })
	return a
}

func (s *scene) connected(a *agent, servers int) {
	s.eventually(30*time.Second, fmt.Sprintf("the agent has %d servers", servers), func() bool { return a.set.HealthyClientsCount() == servers })
	time.Sleep(100 * time.Millisecond)
}

func (s *scene) rawAgent(srv *server, pairs ...string) *rawAgent {
	a, err := connectRaw(s.ctx, s.pki, srv.agents, pairs...)
	s.need(err)
	s.atEnd(func() error { a.end(); return nil })
	time.Sleep(100 * time.Millisecond)
	return a
}

func (s *scene) eventually(limit time.Duration, what string, holds func() bool) {
	for until := time.Now().Add(limit); !holds(); time.Sleep(20 * time.Millisecond) {
		if s.ctx.Err() != nil || time.Now().After(until) {
			s.failf("not within %v: %s", limit, what)
		}
	}
}

func (s *scene) metric(srv *server, name string, want float64) {
	got := 0.0
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		var err error
		got, err = srv.metric(name)
		s.need(err)
		if got == want {
			return
		}
	}
	s.failf("%s is %v, expected %v", name, got, want)
}

// emptied: the agents of this process hold no connection to a destination any more.
func (s *scene) emptied() {
	s.eventually(15*time.Second, "the agents have closed every connection", func() bool { return agentMetric("open_endpoint_connections", "") == 0 })
}

func (s *scene) listen(handle func(*net.TCPConn)) string {
	address, stop, err := serve(s.destination, handle)
	s.need(err)
	s.atEnd(func() error { stop(); return nil })
	return address
}

func (s *scene) refusing() string {
	l, err := net.Listen("tcp", net.JoinHostPort(s.destination, "0"))
	s.need(err)
	defer l.Close()
	return l.Addr().String()
}

func (s *scene) blackhole() string {
	address, stop, err := deaf(s.destination)
	s.need(err)
	s.atEnd(func() error { stop(); return nil })
	return address
}

func (s *scene) http(handler http.HandlerFunc) string {
	l, err := net.Listen("tcp", net.JoinHostPort(s.destination, "0"))
	s.need(err)
	srv := &http.Server{Handler: handler}
	go srv.Serve(l)
	s.atEnd(func() error { srv.Close(); return nil })
	return l.Addr().String()
}

func (s *scene) hello() string {
	return s.http(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
}

// dialer is the world's front of this server.
func (s *scene) dialer(srv *server) dialFunc {
	switch s.front {
	case frontConnect:
		return srv.front.connect
	case frontShared:
		shared, err := srv.front.share(s.ctx)
		s.need(err)
		s.atEnd(shared.connection.Close)
		return shared.dial
	default:
		return srv.front.dial
	}
}

func (s *scene) client(dial dialFunc) *http.Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, address string) (net.Conn, error) { return dial(ctx, address) }}
	s.atEnd(func() error { transport.CloseIdleConnections(); return nil })
	return &http.Client{Transport: transport}
}

func (s *scene) get(c *http.Client, address string) (string, error) {
	ask, err := http.NewRequestWithContext(s.ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return "", err
	}
	answer, err := c.Do(ask)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

func (s *scene) says(c *http.Client, address, want string) {
	got, err := s.get(c, address)
	s.need(err)
	s.must(got == want, "the destination says %q, expected %q", got, want)
}

// saysOnce leaves no connection behind: the proxy-server does not end before its tunnels do.
func (s *scene) saysOnce(srv *server, address string) {
	c := s.client(s.dialer(srv))
	s.says(c, address, "hello")
	c.CloseIdleConnections()
	s.emptied()
}
