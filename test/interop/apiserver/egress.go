// egress: the egress selector with one configuration file. Reaches a Go HTTPS server with verification, and says for each
// destination that cannot be reached what kube-apiserver would say.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

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

const answerMax = 10 * time.Second // kube-apiserver waits for CONNECT's answer without a limit of its own

func runEgress(arguments []string) error {
	var w way
	var fail expectations
	set := flag.NewFlagSet("egress", flag.ExitOnError)
	w.flags(set)
	set.Var(&fail, "fail", "ADDRESS=WORDS: dialling it fails with these words; may be given many times")
	wrongCA := set.String("wrong-ca", "", "a CA that did not sign the server's certificate")
	banner := set.String("banner", "", "HOST:PORT of a server that speaks first")
	seenAs := set.String("seen-as", "", "common name of the client certificate that the server sees")
	set.Parse(arguments)
	if err := w.open(); err != nil {
		return err
	}
	var r report
	r.within(time.Minute, "a server is reached and verified, 20 times, on a tunnel each", func() error { return reach(&w, 20) })
	if *seenAs != "" {
		r.within(time.Minute, "the server sees "+*seenAs, func() error { return seen(&w, *seenAs) })
	}
	if *wrongCA != "" {
		wrong := w
		wrong.ca = *wrongCA
		r.within(time.Minute, "the server is refused by a client that does not trust its CA", func() error {
			return holds(reach(&wrong, 1), "certificate signed by unknown authority")
		})
	}
	for _, f := range fail {
		r.within(answerMax, fmt.Sprintf("%s: %q", f.address, f.words), func() error { return holds(dialOnly(&w, f.address), f.words) })
		r.within(answerMax, fmt.Sprintf("%s, as kubectl exec sees it", f.address), func() error { return kubectlSees(w, f.address, f.words) })
	}
	if *banner != "" {
		r.within(time.Minute, "a server that speaks first is not heard before the answer, 50 times", func() error { return listenTo(&w, *banner, 50) })
	}
	return r.end()
}

// reach makes requests that each need a tunnel of their own.
func reach(w *way, times int) error {
	const size = 200_000
	for i := range uint64(times) {
		body, err := get(w, fmt.Sprintf("/noise/%d/%d", i, size))
		if err != nil {
			return err
		}
		got := newDigester()
		got.Write(body)
		if err := got.isNoise(i, size); err != nil {
			return err
		}
	}
	return nil
}

func seen(w *way, as string) error {
	body, err := get(w, "/whoami")
	if err == nil && string(body) != as {
		err = fmt.Errorf("it sees %q", body)
	}
	return err
}

func get(w *way, path string) ([]byte, error) {
	rt, err := w.transport()
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: rt, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	response, err := client.Get(w.location(path).String())
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return body, err
}

func dialOnly(w *way, address string) error {
	c, err := w.dial(context.Background(), "tcp", address)
	if err == nil {
		c.Close()
	}
	return err
}

// kubectlSees puts the facade between, so that the words are those of a user's terminal.
func kubectlSees(w way, address, words string) error {
	w.node = address
	f, err := newFacade(&w)
	if err != nil {
		return err
	}
	defer f.close()
	for _, protocol := range protocols {
		if err := holds((&command{argv: []string{"echo"}, out: io.Discard}).run(f, protocol), words); err != nil {
			return fmt.Errorf("%s: %w", protocol, err)
		}
	}
	return nil
}

// listenTo: the selector closes a connection on which anything came together with the answer to CONNECT.
func listenTo(w *way, address string, times int) error {
	for i := range times {
		if err := hearBanner(w, address); err != nil {
			return fmt.Errorf("time %d: %w", i, err)
		}
	}
	return nil
}

func hearBanner(w *way, address string) error {
	c, err := w.dial(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, len(bannerText))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != bannerText {
		return fmt.Errorf("banner %q: %v", got, err)
	}
	return tcpEchoes(c)
}

// tcpEchoes: what comes after the banner still works both ways.
func tcpEchoes(c net.Conn) error {
	if _, err := io.WriteString(c, "hello"); err != nil {
		return err
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		return fmt.Errorf("echo %q: %v", got, err)
	}
	return nil
}
