// konnectivity is Konnectivity's own client, and its agent, against Hawser in the place of its server: the library
// kube-apiserver dials with, its egress selector, the agents' library, and the protocol by hand where these would not misbehave.
//
//	konnectivity tunnels ...   the library's single-use tunnels: echo, crowds, large transfers, errors, ends
//	konnectivity stream ...    many connections on one stream, and what a client may do wrong
//	konnectivity selector ...  kube-apiserver's egress selector with a configuration file, proxyProtocol GRPC
//	konnectivity bridge ...    all of them to a route that ends TLS, and CONNECT on HTTP/2's streams; TLS and HTTP inside
//	konnectivity agents ...    what the proxy-server's own tests verify, with its agents, of whatever server is given
//	konnectivity hostile ...   agents that lie, flood, die and stand still, beside one that works
//	konnectivity weather ...   agents that come and go under load, servers that drain, readers that rest
//	konnectivity stall ...     64 busy clients beside one that stops reading, on one agent
//
//	konnectivity proxy-server|proxy-agent ...   the module's own programs, with their own flags
//
// The destinations are its own, on an address that the broker's routes allow.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/klog/v2"
)

// way is how the broker is reached, and where the destinations are.
type way struct {
	unix, address, ca, cert, key string
	destination                  string
	egress                       string
	fail                         expectations
}

// expectations is a flag given many times: ADDRESS=WORDS, the words that the error must have.
type expectations []struct{ address, words string }

func (e *expectations) String() string { return fmt.Sprint(*e) }

func (e *expectations) Set(s string) error {
	address, words, ok := strings.Cut(s, "=")
	if !ok {
		return errors.New("expected ADDRESS=WORDS")
	}
	*e = append(*e, struct{ address, words string }{address, words})
	return nil
}

func (w *way) flags(set *flag.FlagSet) {
	set.StringVar(&w.unix, "unix", "", "the broker's socket")
	set.StringVar(&w.address, "address", "", "HOST:PORT of the broker's listener with mutual TLS")
	set.StringVar(&w.ca, "ca", "", "CA of that listener's certificate")
	set.StringVar(&w.cert, "cert", "", "client certificate")
	set.StringVar(&w.key, "key", "", "its key")
	set.StringVar(&w.destination, "destination", "127.0.0.1", "address for the destinations")
	set.StringVar(&w.egress, "egress", "", "EgressSelectorConfiguration")
	set.Var(&w.fail, "fail", "ADDRESS=WORDS: dialling it fails with these words; may be given many times")
}

// target and options as kube-apiserver's egress selector makes them for a socket, and as a client over TCP would.
func (w *way) target() (string, []grpc.DialOption, error) {
	if w.unix != "" {
		return w.unix, []grpc.DialOption{
			grpc.WithBlock(), grpc.WithReturnConnectionError(), grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, path string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", path)
			}),
		}, nil
	}
	pem, err := os.ReadFile(w.ca)
	if err != nil {
		return "", nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	pair, err := tls.LoadX509KeyPair(w.cert, w.key)
	if err != nil {
		return "", nil, err
	}
	config := &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}
	return w.address, []grpc.DialOption{grpc.WithBlock(), grpc.WithTransportCredentials(credentials.NewTLS(config))}, nil
}

// report counts and names what was checked.
type report struct{ failed int }

func (r *report) within(limit time.Duration, what string, check func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	done := make(chan error, 1)
	begun := time.Now()
	go func() { done <- check(ctx) }()
	var err error
	select {
	case err = <-done:
	case <-time.After(limit + time.Second):
		err = errors.New("it does not end")
	}
	if err != nil {
		r.failed++
		fmt.Printf("FAIL: %s: %.800s\n", what, strings.ReplaceAll(err.Error(), "\n", " | "))
		return
	}
	fmt.Printf("ok: %s (%v)\n", what, time.Since(begun).Round(time.Millisecond))
}

func (r *report) end() error {
	if r.failed > 0 {
		return fmt.Errorf("%d checks failed", r.failed)
	}
	return nil
}

// holds: the error is there, and has these words.
func holds(err error, words string) error {
	if err == nil {
		return fmt.Errorf("there is no error, expected %q", words)
	}
	if !strings.Contains(err.Error(), words) {
		return fmt.Errorf("%q has no %q", err, words)
	}
	return nil
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: konnectivity", strings.Join(slices.Sorted(maps.Keys(commands)), "|"), "[-help]")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "konnectivity:", err)
		os.Exit(1)
	}
}

var commands = map[string]func(arguments []string) error{
	"tunnels":      front(runTunnels),
	"stream":       front(runStream),
	"selector":     front(runSelector),
	"bridge":       runBridge,
	"agents":       behind(runAgents),
	"hostile":      behind(runHostile),
	"stall":        behind(runStall),
	"weather":      behind(runWeather),
	"proxy-server": runStockServer,
	"proxy-agent":  runStockAgent,
}

// front is a command against a broker that runs already.
func front(run func(*way) error) func([]string) error {
	return func(arguments []string) error {
		log := flag.NewFlagSet("klog", flag.ContinueOnError)
		klog.InitFlags(log)
		log.Set("logtostderr", "true")
		var w way
		set := flag.NewFlagSet("konnectivity", flag.ExitOnError)
		w.flags(set)
		set.Parse(arguments)
		return run(&w)
	}
}

// behind is a command that starts its servers itself, and leaves nothing behind if all went well.
func behind(run func(*world) error) func([]string) error {
	return func(arguments []string) error {
		log := flag.NewFlagSet("klog", flag.ContinueOnError)
		klog.InitFlags(log) // the libraries log every dial that fails, which is what is asked of them here
		log.Set("logtostderr", "false")
		log.Set("stderrthreshold", "FATAL")
		klog.SetOutput(io.Discard)
		var w world
		set := flag.NewFlagSet("konnectivity", flag.ExitOnError)
		w.flags(set)
		set.Parse(arguments)
		err := run(&w)
		if err == nil {
			os.RemoveAll(w.folder)
		}
		return err
	}
}
