// stall: one frontend that stops reading, beside 64 that are busy, all through one agent. What do the 64 lose by it?
// Rounds without and with the stalled one take turns, so that a busy machine weighs on both alike.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	busyClients = 64
	busyBytes   = 64 << 10  // of each answer
	stallBytes  = 256 << 20 // what the stalled one has asked for
)

// blobs answers every ask of a connection, one after another.
func blobs(c *net.TCPConn) {
	var ask [8]byte
	piece := make([]byte, 64<<10)
	for {
		if _, err := io.ReadFull(c, ask[:]); err != nil {
			return
		}
		for left := binary.BigEndian.Uint64(ask[:]); left > 0; {
			n := min(left, uint64(len(piece)))
			if _, err := c.Write(piece[:n]); err != nil {
				return
			}
			left -= n
		}
	}
}

// round is what the busy ones did in one window.
type round struct {
	MiBPerSecond float64 `json:"mib_per_s"`
	P99          float64 `json:"p99_ms"`
	Least        int     `json:"least"` // exchanges of the one that had the fewest
	Failed       int     `json:"failed"`
}

// stallReport is printed as JSON for the benchmark.
type stallReport struct {
	Without []round `json:"without"`
	With    []round `json:"with"`
	Fell    float64 `json:"fell"` // median over the rounds of 1 - with/without
	P99     float64 `json:"p99_ratio"`
	Stalled string  `json:"stalled"`
}

func runStall(w *world) error {
	if err := w.prepare(); err != nil {
		return err
	}
	var r report
	r.within(time.Duration(w.rounds)*(2*w.window+15*time.Second)+time.Minute, "64 busy clients beside one that is stalled", func(ctx context.Context) error {
		return w.play(ctx, stall)
	})
	return r.end()
}

func stall(s *scene) {
	srv := s.server(asked{})
	s.agent(srv, "one", "")
	dial, address := s.dialer(srv), s.listen(blobs)
	s.busy(s.clients(dial, address)) // warm
	var found stallReport
	for range s.rounds {
		found.Without = append(found.Without, s.busy(s.clients(dial, address)))
		conns := s.clients(dial, address)
		stalled, err := dial(s.ctx, address)
		s.need(err)
		s.need(ask(stalled, stallBytes))
		time.Sleep(300 * time.Millisecond)
		found.With = append(found.With, s.busy(conns))
		found.Stalled = fate(stalled)
		time.Sleep(300 * time.Millisecond)
	}
	var fell, p99 []float64
	for i := range found.With {
		fell = append(fell, 1-found.With[i].MiBPerSecond/found.Without[i].MiBPerSecond)
		p99 = append(p99, found.With[i].P99/found.Without[i].P99)
	}
	found.Fell, found.P99 = median(fell), median(p99)
	if s.json {
		s.need(json.NewEncoder(os.Stdout).Encode(found))
		return
	}
	for i := range found.With {
		fmt.Printf("   without %+v, with %+v\n", found.Without[i], found.With[i])
	}
	fmt.Printf("   throughput falls by %.1f %%, p99 is %.2f times as long; the stalled one: %s\n", 100*found.Fell, found.P99, found.Stalled)
	for _, with := range found.With {
		s.must(with.Least > 0 && with.Failed == 0, "of those beside the stalled one, one had %d exchanges, and %d failed", with.Least, with.Failed)
	}
	s.says(s.client(dial), s.hello(), "hello")
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

func (s *scene) clients(dial dialFunc, address string) []net.Conn {
	conns, failed := make([]net.Conn, busyClients), make(chan error, busyClients)
	for i := range conns {
		go func() {
			ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
			defer cancel()
			c, err := dial(ctx, address)
			conns[i] = c
			failed <- err
		}()
	}
	var err error
	for range conns {
		err = errors.Join(err, <-failed)
	}
	s.need(err)
	return conns
}

// busy: each asks again and again until the window is over. An exchange that is not over then has taken until then.
func (s *scene) busy(conns []net.Conn) round {
	var all sync.WaitGroup
	var mutex sync.Mutex
	var took []time.Duration
	found := round{Least: 1 << 30}
	over := time.Now().Add(s.window)
	for _, c := range conns {
		all.Go(func() {
			mine, failed := exchanges(c, over)
			mutex.Lock()
			defer mutex.Unlock()
			took = append(took, mine...)
			found.Least = min(found.Least, len(mine)-failed)
			found.Failed += failed
		})
	}
	all.Wait()
	slices.Sort(took)
	found.MiBPerSecond = float64(len(took)-found.Failed) * busyBytes / (1 << 20) / s.window.Seconds()
	found.P99 = float64(took[len(took)*99/100].Microseconds()) / 1000
	return found
}

func exchanges(c net.Conn, over time.Time) (took []time.Duration, failed int) {
	late := time.AfterFunc(time.Until(over)+time.Second, func() { c.Close() })
	defer late.Stop()
	room := make([]byte, busyBytes)
	for time.Now().Before(over) {
		begun := time.Now()
		err := ask(c, busyBytes)
		if err == nil {
			_, err = io.ReadFull(c, room)
		}
		took = append(took, time.Since(begun))
		if err != nil {
			return took, 1
		}
	}
	go c.Close() // with one whose server stands it takes its time
	return took, 0
}

// fate: what came of the stalled one, when it reads at last.
func fate(c net.Conn) string {
	defer func() { go c.Close() }()
	over := make(chan error, 1)
	got := int64(0)
	go func() {
		var err error
		got, err = io.CopyN(io.Discard, c, stallBytes)
		over <- err
	}()
	select {
	case err := <-over:
		if err == nil {
			return "it had everything"
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Sprintf("it was cut, %d KiB had come", got>>10)
		}
		return fmt.Sprintf("it was cut with %v, %d KiB had come", err, got>>10)
	case <-time.After(10 * time.Second):
		return "it stands still"
	}
}
