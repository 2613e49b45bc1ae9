// The server under test: a process of its own, started for a case with what the case asks of it. Hawser by a configuration,
// Hawser by the proxy-server's flags, or the proxy-server itself, which shows that a check asks for nothing that is not there.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	kindHawser = "hawser" // serve, with a configuration
	kindFlags  = "flags"  // konnectivity-server, with flags
	kindStock  = "stock"  // the module's own proxy-server
)

// asked is what a case asks of its server.
type asked struct {
	strategies string
	id         string
	count      int
	agentPort  int    // 0: a free one
	agents     string // more of agents: Hawser by configuration only
}

type server struct {
	process  *exec.Cmd
	kind     string
	log      string
	front    way
	agents   string // where agents connect to
	health   string // host:port of /readyz
	metrics  string // host:port of /metrics
	stopped  bool
	ended    chan struct{}
	exitCode int
}

// startServer returns when it answers on its health port.
func startServer(w *world, a asked) (*server, error) {
	ports, err := freePorts(4)
	if err != nil {
		return nil, err
	}
	if a.agentPort == 0 {
		a.agentPort = ports[0]
	}
	if a.strategies == "" {
		a.strategies = "default"
	}
	if a.count == 0 {
		a.count = 1
	}
	w.servers++
	if a.id == "" {
		a.id = fmt.Sprintf("server-%d", w.servers)
	}
	s := &server{kind: w.kind, log: filepath.Join(w.folder, fmt.Sprintf("server-%d.log", w.servers)),
		agents: net.JoinHostPort("127.0.0.1", strconv.Itoa(a.agentPort)), ended: make(chan struct{})}
	s.front = way{destination: w.destination, ca: w.pki.ca, cert: w.pki.clientCert, key: w.pki.clientKey}
	if w.mtls {
		s.front.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[1]))
	} else {
		s.front.unix = filepath.Join(w.folder, fmt.Sprintf("%d.sock", w.servers))
	}
	s.health = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[2]))
	s.metrics = s.health
	var argv []string
	if w.kind == kindHawser {
		file := filepath.Join(w.folder, fmt.Sprintf("hawser-%d.yaml", w.servers))
		if err := os.WriteFile(file, []byte(configuration(w, s, a, ports[1], ports[2])), 0o600); err != nil {
			return nil, err
		}
		argv = []string{w.program, "serve", "--config", file}
	} else {
		argv = append(commandOf(w), flagsOf(w, s, a, ports)...)
	}
	if err := s.run(argv); err != nil {
		return nil, err
	}
	if err := s.waitAlive(30 * time.Second); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func commandOf(w *world) []string {
	if w.kind == kindFlags {
		return []string{w.program, "konnectivity-server"}
	}
	return []string{w.self, "proxy-server", "--v=2"}
}

func flagsOf(w *world, s *server, a asked, ports []int) []string {
	mode := "grpc"
	if w.connect {
		mode = "http-connect"
	}
	flags := []string{"--mode=" + mode, "--cluster-ca-cert=" + w.pki.ca, "--cluster-cert=" + w.pki.serverCert,
		"--cluster-key=" + w.pki.serverKey, "--agent-bind-address=127.0.0.1", fmt.Sprintf("--agent-port=%d", a.agentPort),
		"--health-bind-address=127.0.0.1", fmt.Sprintf("--health-port=%d", ports[2]), "--admin-bind-address=127.0.0.1",
		fmt.Sprintf("--admin-port=%d", ports[3]), "--proxy-strategies=" + a.strategies, "--server-id=" + a.id,
		fmt.Sprintf("--server-count=%d", a.count), "--keepalive-time=30s", "--logtostderr=true"}
	if w.mtls {
		return append(flags, fmt.Sprintf("--server-port=%d", ports[1]), "--server-bind-address=127.0.0.1",
			"--server-ca-cert="+w.pki.ca, "--server-cert="+w.pki.serverCert, "--server-key="+w.pki.serverKey)
	}
	return append(flags, "--uds-name="+s.front.unix, "--server-port=0", "--delete-existing-uds-file")
}

// configuration: one listener in front, one for agents, and every destination through agents alone.
func configuration(w *world, s *server, a asked, frontPort, adminPort int) string {
	tls := fmt.Sprintf("    tls: {certificateFile: %s, keyFile: %s, clientCaFile: %s, allowedNames: [%s]}\n", w.pki.serverCert,
		w.pki.serverKey, w.pki.ca, clientName)
	front := fmt.Sprintf("    unix: {path: %s, mode: \"0600\"}\n", s.front.unix)
	if w.mtls {
		front = fmt.Sprintf("    tcp: {address: 127.0.0.1, port: %d}\n%s", frontPort, tls)
	}
	return fmt.Sprintf(`apiVersion: hawser.dev/v1alpha1
kind: BrokerConfiguration
workers: 2
admin: {address: 127.0.0.1, port: %d}
listeners:
  - name: front
%s  - name: agents
    serves: agents
    tcp: {address: 127.0.0.1, port: %d}
%sroutes:
  - name: cluster
    match: {cidrs: [127.64.0.0/10], schemes: [tunnel]}
    via: [agent]
  - name: names
    match: {hosts: ['*.invalid'], schemes: [tunnel]}
    via: [agent]
agents: {serverId: %s, serverCount: %d, strategies: [%s]%s}
timeouts: {tunnelAnswerMs: 9000, tunnelSpeakFirstMs: 100} # an agent gives a dial 5 s; the machine may be busy
pool: {breaker: {failures: 1000}} # as konnectivity-server has it
`, adminPort, front, a.agentPort, tls, a.id, a.count, strings.ReplaceAll(a.strategies, ",", ", "), a.agents)
}

func (s *server) run(argv []string) error {
	log, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer log.Close()
	s.process = exec.Command(argv[0], argv[1:]...)
	s.process.Stdout, s.process.Stderr = log, log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		return err
	}
	go func() {
		s.process.Wait()
		s.exitCode = s.process.ProcessState.ExitCode()
		close(s.ended)
	}()
	return nil
}

func (s *server) waitAlive(limit time.Duration) error {
	for until := time.Now().Add(limit); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		select {
		case <-s.ended:
			return fmt.Errorf("the server ended with %d: %s", s.exitCode, s.lastWords())
		default:
		}
		if _, err := fetch(s.health, "/healthz"); err == nil && s.listening() {
			return nil
		}
	}
	return fmt.Errorf("the server does not answer: %s", s.lastWords())
}

func (s *server) listening() bool {
	for _, at := range [][2]string{{"tcp", s.agents}, {"unix", s.front.unix}, {"tcp", s.front.address}} {
		if at[1] == "" {
			continue
		}
		c, err := net.DialTimeout(at[0], at[1], time.Second)
		if err != nil {
			return false
		}
		c.Close()
	}
	return true
}

// stop asks it to end, and judges how it does: Hawser leaks nothing, and no sanitizer has a word.
func (s *server) stop() error {
	if s.stopped {
		return nil
	}
	s.stopped = true
	s.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(40 * time.Second):
		s.process.Process.Kill()
		<-s.ended
		return errors.New("the server does not end within 40 s of SIGTERM: " + s.lastWords())
	}
	if s.kind == kindStock {
		return nil
	}
	all, err := os.ReadFile(s.log)
	if err != nil {
		return err
	}
	for _, words := range []string{"Sanitizer", "runtime error:", "assertion"} {
		if at := bytes.Index(all, []byte(words)); at >= 0 {
			return fmt.Errorf("the server says: %s", all[max(0, at-200):min(len(all), at+3000)])
		}
	}
	if s.exitCode != 0 {
		return fmt.Errorf("the server ended with %d: %s", s.exitCode, s.lastWords())
	}
	return nil
}

func (s *server) kill() {
	s.stopped = true
	s.process.Process.Kill()
	<-s.ended
}

func (s *server) lastWords() string {
	all, _ := os.ReadFile(s.log)
	return string(all[max(0, len(all)-1500):])
}

func (s *server) ready() bool {
	_, err := fetch(s.health, "/readyz")
	return err == nil
}

const family = "konnectivity_network_proxy_server_"

// metric is the value of one series of the proxy-server's, named without its prefix; of one that is not there, 0.
func (s *server) metric(name string) (float64, error) {
	all, err := fetch(s.metrics, "/metrics")
	if err != nil {
		return 0, err
	}
	if !strings.Contains(all, family) {
		return 0, errors.New("the server has no metrics of " + family)
	}
	for line := range strings.Lines(all) {
		if rest, is := strings.CutPrefix(line, family+name+" "); is {
			return strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return 0, nil
}

// residentKiB is the memory of its process.
func (s *server) residentKiB() int {
	all, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	for line := range strings.Lines(string(all)) {
		if rest, is := strings.CutPrefix(line, "VmRSS:"); is {
			kib, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kib
		}
	}
	return 0
}

func fetch(address, path string) (string, error) {
	c := http.Client{Timeout: 10 * time.Second}
	defer c.CloseIdleConnections()
	r, err := c.Get("http://" + address + path)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, r.Status)
	}
	return string(body), err
}

// freePorts are below the ephemeral range, for a server may be started on one a second time.
func freePorts(count int) ([]int, error) {
	var ports []int
	for range 1000 {
		port := 20000 + rand.IntN(10000)
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		defer l.Close()
		if ports = append(ports, port); len(ports) == count {
			return ports, nil
		}
	}
	return nil, errors.New("no free ports")
}
