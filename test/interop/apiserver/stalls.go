// stalls: readers that stop for more than a minute and then go on. A followed log whose reader pauses (`kubectl logs -f` under
// ^S) and a stdin that the container does not read. Nothing may be cut and no byte may be missing; and whoever writes must
// have been made to wait, or the bytes were piled up somewhere (the kubelet prints how long its longest write took).
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

func runStalls(arguments []string) error {
	var w way
	set := flag.NewFlagSet("stalls", flag.ExitOnError)
	w.flags(set)
	pause := set.Duration("pause", 70*time.Second, "how long the readers stop")
	burst := set.Uint64("burst", 48_000, "lines of about a kilobyte that are there at once: more than all sockets can hold")
	slow := set.Uint64("slow", 300, "lines that come slowly afterwards, 20 a second")
	set.Parse(arguments)
	if err := w.open(); err != nil {
		return err
	}
	f, err := newFacade(&w)
	if err != nil {
		return err
	}
	defer f.close()

	var r report
	var all sync.WaitGroup
	limit := *pause + 75*time.Second
	stall := func(what string, run func() error) {
		all.Go(func() { r.within(limit, fmt.Sprintf("%s: %s", w.via, what), run) })
	}
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		if protocol == "HTTP/2.0" && (w.http1 || w.via == "forward") {
			continue
		}
		stall("a followed log over "+protocol, func() error { return stalledLog(w, protocol, *pause, *burst, *slow) })
	}
	// This one has been written to its end long before it is read, and its connection is to be closed.
	stall("the end of a log", func() error {
		closing := w
		closing.once = true
		return stalledLog(closing, "HTTP/1.1", *pause, 2000, 0)
	})
	// Not over WebSocket: client-go itself gives up after 60 s without a pong.
	stall("a stdin that is not read, over SPDY", func() error { return stalledStdin(f, *pause, limit) })
	all.Wait()
	return r.end()
}

// openLog asks for a log as kube-apiserver does. The body is the caller's.
func openLog(w way, protocol, container string) (*http.Response, error) {
	w.http1 = protocol == "HTTP/1.1"
	rt, err := w.transport()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequest("GET", w.location("/containerLogs/default/pod/"+container).String()+"?follow=true", nil)
	if err != nil {
		return nil, err
	}
	request.Close = w.once
	request.Header.Set("User-Agent", strings.ReplaceAll(w.via+"-over-"+protocol, "/", "-"))
	response, err := rt.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != 200 || response.Proto != protocol {
		response.Body.Close()
		return nil, fmt.Errorf("%s %s, expected %s 200", response.Proto, response.Status, protocol)
	}
	return response, nil
}

func stalledLog(w way, protocol string, pause time.Duration, burst, slow uint64) error {
	response, err := openLog(w, protocol, fmt.Sprintf("burst-%d-slow-%d", burst, slow))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	reader := bufio.NewReader(response.Body)
	for i := range burst + slow {
		if i == burst/50 {
			time.Sleep(pause)
		}
		line, err := reader.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("after %d of %d lines: %w", i, burst+slow, err)
		}
		if err := sameLine(i, line); err != nil {
			return err
		}
	}
	if rest, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the last line: byte %q, error %v, expected a clean end", rest, err)
	}
	return nil
}

func stalledStdin(f *facade, pause, limit time.Duration) error {
	const seed, size = 5, 48 << 20
	var out bytes.Buffer
	c := &command{argv: []string{"late", fmt.Sprint(pause.Milliseconds())}, in: noise(seed, size), out: &out, limit: limit}
	if err := c.run(f, "SPDY"); err != nil {
		return err
	}
	if want := digestOfNoise(seed, size) + "\n"; out.String() != want {
		return fmt.Errorf("the container got %q, expected %q", out.String(), want)
	}
	return nil
}
