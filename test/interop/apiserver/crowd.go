// crowd: many sessions that are all open before the first byte of payload flows, each with bytes of its own both ways.
package main

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

func crowd(f *facade, sessions int, size uint64) error {
	var ready sync.WaitGroup
	ready.Add(sessions)
	open := make(chan struct{})
	results := make(chan error, sessions)
	for i := range sessions {
		go func() {
			s := &session{seed: uint64(1000 + 2*i), size: size, open: open, ready: sync.OnceFunc(ready.Done)}
			err := s.run(f, protocols[i%len(protocols)])
			s.ready() // one that failed shall not keep the others waiting
			if err != nil {
				err = fmt.Errorf("session %d, %s: %w", i, protocols[i%len(protocols)], err)
			}
			results <- err
		}()
	}
	ready.Wait()
	close(open)
	var all error
	for range sessions {
		all = errors.Join(all, <-results)
	}
	return all
}

// session talks to the container's command `both`.
type session struct {
	seed, size uint64
	ready      func()
	open       chan struct{}
	errors     lines
}

func (s *session) run(f *facade, protocol string) error {
	out := newDigester()
	s.errors.first = s.ready
	c := &command{
		argv:  []string{"both", fmt.Sprint(s.seed), fmt.Sprint(s.size)},
		in:    io.MultiReader(&gate{open: s.open}, noise(s.seed+1, s.size)),
		out:   out,
		err:   &s.errors,
		limit: 100 * time.Second,
	}
	if err := c.run(f, protocol); err != nil {
		return err
	}
	if want := "ready\n" + digestOfNoise(s.seed+1, s.size) + "\n"; string(s.errors.text) != want {
		return fmt.Errorf("stdin: the container says %q, expected %q", s.errors.text, want)
	}
	return out.isNoise(s.seed, s.size)
}

// gate gives one byte, when it is opened.
type gate struct {
	open chan struct{}
	done bool
}

func (g *gate) Read(p []byte) (int, error) {
	if g.done || len(p) == 0 {
		return 0, io.EOF
	}
	<-g.open
	g.done = true
	p[0] = '!'
	return 1, nil
}

// lines keeps what is written and calls first when there is something. Written by one goroutine.
type lines struct {
	text  []byte
	first func()
}

func (l *lines) Write(p []byte) (int, error) {
	l.text = append(l.text, p...)
	if len(l.text) > 0 {
		l.first()
	}
	return len(p), nil
}
