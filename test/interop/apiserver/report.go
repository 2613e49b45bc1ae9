// report: what was checked and how it went. Checks may run at the same time.
package main

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

type report struct {
	sync.Mutex
	count, failed int
}

// check notes one fact: err says why it does not hold.
func (r *report) check(what string, err error) {
	r.Lock()
	defer r.Unlock()
	r.count++
	if err != nil {
		r.failed++
		fmt.Printf("FAIL: %s: %v\n", what, err)
		return
	}
	fmt.Printf("ok: %s\n", what)
}

// within runs a check that must not take longer than limit. A check that hangs is told and left behind: the process is
// about to end anyway.
func (r *report) within(limit time.Duration, what string, run func() error) {
	done := make(chan error, 1)
	go func() { done <- run() }()
	select {
	case err := <-done:
		r.check(what, err)
	case <-time.After(limit):
		r.check(what, fmt.Errorf("not over after %v", limit))
	}
}

func (r *report) end() error {
	r.Lock()
	defer r.Unlock()
	if r.failed > 0 {
		return fmt.Errorf("%d of %d checks failed", r.failed, r.count)
	}
	fmt.Printf("%d checks, none failed\n", r.count)
	return nil
}

// holds expects an error whose text has all the words.
func holds(err error, words ...string) error {
	if err == nil {
		return fmt.Errorf("no error, expected one with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			return fmt.Errorf("the error lacks %q: %w", word, err)
		}
	}
	return nil
}
