// streams: what kubectl does with a pod, checked on one way through the broker.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"
)

func runStreams(arguments []string) error {
	var w way
	set := flag.NewFlagSet("streams", flag.ExitOnError)
	w.flags(set)
	sessions := set.Int("sessions", 64, "exec sessions at the same time")
	size := set.Uint64("bytes", 256<<10, "bytes of each, both ways")
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
	var both sync.WaitGroup
	for _, protocol := range protocols {
		both.Go(func() {
			for _, c := range streamChecks {
				r.within(70*time.Second, fmt.Sprintf("%s, %s: %s", w.via, protocol, c.what), func() error { return c.run(f, protocol) })
			}
			checkPortForward(&r, f, protocol)
		})
	}
	both.Wait()
	r.within(110*time.Second, fmt.Sprintf("%s: %d sessions at once, %d bytes each way", w.via, *sessions, *size),
		func() error { return crowd(f, *sessions, *size) })
	return r.end()
}

var streamChecks = []struct {
	what string
	run  func(*facade, string) error
}{
	{"exec echoes a megabyte and sees the end of stdin", execEchoes},
	{"exec gives stdout and stderr byte for byte", execGenerates},
	{"exec tells the exit code", execExits},
	{"exec without stdin, and of a command that is not there", execFails},
	{"a terminal and its sizes", execResizes},
	{"attach echoes", attachEchoes},
	{"a refused upgrade is an ordinary answer", execRefused},
	{"exec may be silent for seconds before it ends", execSilent},
}

func execEchoes(f *facade, protocol string) error {
	const seed, size = 1, 1 << 20
	out := newDigester()
	if err := (&command{argv: []string{"echo"}, in: noise(seed, size), out: out}).run(f, protocol); err != nil {
		return err
	}
	return out.isNoise(seed, size)
}

func execGenerates(f *facade, protocol string) error {
	const seed, outSize, errSize = 2, 8 << 20, 3<<20 + 1
	out, errOut := newDigester(), newDigester()
	argv := strings.Fields(fmt.Sprint("generate ", seed, " ", outSize, " ", errSize))
	if err := (&command{argv: argv, out: out, err: errOut}).run(f, protocol); err != nil {
		return err
	}
	return errors.Join(out.isNoise(seed, outSize), errOut.isNoise(seed+1, errSize))
}

func execExits(f *facade, protocol string) error {
	for _, code := range []int{1, 7, 255} {
		err := (&command{argv: []string{"exit", fmt.Sprint(code)}, out: newDigester()}).run(f, protocol)
		if exited := (utilexec.CodeExitError{}); !errors.As(err, &exited) || exited.Code != code {
			return fmt.Errorf("expected exit code %d, got %v", code, err)
		}
	}
	return (&command{argv: []string{"exit", "0"}, out: newDigester()}).run(f, protocol)
}

func execFails(f *facade, protocol string) error {
	return holds((&command{argv: []string{"a b&c=%25"}, out: newDigester()}).run(f, protocol), `no such command: ["a b&c=%25"]`)
}

// fixedSizes is a terminal that is resized a few times and then left alone.
type fixedSizes struct {
	next []remotecommand.TerminalSize
	end  chan struct{}
}

func (q *fixedSizes) Next() *remotecommand.TerminalSize {
	if len(q.next) == 0 {
		<-q.end
		return nil
	}
	size := q.next[0]
	q.next = q.next[1:]
	return &size
}

func execResizes(f *facade, protocol string) error {
	queue := &fixedSizes{end: make(chan struct{})}
	defer close(queue.end)
	queue.next = []remotecommand.TerminalSize{{Width: 80, Height: 24}, {Width: 132, Height: 50}, {Width: 1, Height: 1}}
	var out bytes.Buffer
	if err := (&command{argv: []string{"sizes", "3"}, out: &out, tty: true, sizes: queue}).run(f, protocol); err != nil {
		return err
	}
	if want := "80x24\n132x50\n1x1\n"; out.String() != want {
		return fmt.Errorf("got %q, expected %q", out.String(), want)
	}
	return nil
}

func attachEchoes(f *facade, protocol string) error {
	const seed, size = 3, 100_001
	out := newDigester()
	if err := (&command{path: attachPath, in: noise(seed, size), out: out}).run(f, protocol); err != nil {
		return err
	}
	return out.isNoise(seed, size)
}

func execRefused(f *facade, protocol string) error {
	return holds((&command{path: missingPath, argv: []string{"echo"}, out: newDigester()}).run(f, protocol), "container not found")
}

func execSilent(f *facade, protocol string) error {
	const seed, size = 4, 10_000
	var out bytes.Buffer
	if err := (&command{argv: []string{"late", "7000"}, in: noise(seed, size), out: &out}).run(f, protocol); err != nil {
		return err
	}
	if want := digestOfNoise(seed, size) + "\n"; out.String() != want {
		return fmt.Errorf("got %q, expected %q", out.String(), want)
	}
	return nil
}
