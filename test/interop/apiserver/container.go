// container: the runtime under the streaming server. Its commands are what the checks need, and each says exactly which
// bytes it makes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

type container struct{}

type stdio struct {
	in       io.Reader
	out, err io.Writer
	resize   <-chan remotecommand.TerminalSize
}

// commands by their name; the numbers are the arguments.
var commands = map[string]func(ctx context.Context, s stdio, n []uint64) error{
	"echo":     echo,
	"generate": generate,
	"both":     both,
	"exit":     exit,
	"sizes":    sizes,
	"late":     late,
	"ticks":    ticks,
}

func (container) Exec(ctx context.Context, _ string, command []string, in io.Reader, out, errOut io.WriteCloser, _ bool,
	resize <-chan remotecommand.TerminalSize) error {
	if len(command) == 0 || commands[command[0]] == nil {
		return fmt.Errorf("no such command: %q", command)
	}
	numbers := make([]uint64, 0, len(command))
	for _, word := range command[1:] {
		n, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			return err
		}
		numbers = append(numbers, n)
	}
	return commands[command[0]](ctx, stdio{in, out, errOut, resize}, numbers)
}

// Attach is at home in a container that echoes.
func (container) Attach(ctx context.Context, _ string, in io.Reader, out, errOut io.WriteCloser, _ bool,
	resize <-chan remotecommand.TerminalSize) error {
	return echo(ctx, stdio{in, out, errOut, resize}, nil)
}

// echo: stdin to stdout until its end.
func echo(_ context.Context, s stdio, _ []uint64) error {
	_, err := io.Copy(s.out, s.in)
	return err
}

// generate SEED OUT ERR: so many bytes to stdout and, at the same time, to stderr.
func generate(_ context.Context, s stdio, n []uint64) error {
	wrote := make(chan error, 1)
	go func() {
		_, err := io.Copy(s.err, noise(n[0]+1, n[2]))
		wrote <- err
	}()
	_, err := io.Copy(s.out, noise(n[0], n[1]))
	return errors.Join(err, <-wrote)
}

// both SEED SIZE: says it is there, waits for a first byte of stdin, then writes SIZE bytes to stdout while it reads the
// rest of stdin, whose digest goes to stderr.
func both(_ context.Context, s stdio, n []uint64) error {
	if _, err := io.WriteString(s.err, "ready\n"); err != nil {
		return err
	}
	if _, err := io.ReadFull(s.in, make([]byte, 1)); err != nil {
		return err
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := io.Copy(s.out, noise(n[0], n[1]))
		wrote <- err
	}()
	got, err := digest(s.in)
	if err = errors.Join(err, <-wrote); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.err, got)
	return err
}

// exit CODE.
func exit(_ context.Context, _ stdio, n []uint64) error {
	if n[0] == 0 {
		return nil
	}
	return utilexec.CodeExitError{Err: fmt.Errorf("exit %d", n[0]), Code: int(n[0])}
}

// sizes N: prints the first N sizes the terminal is given.
func sizes(ctx context.Context, s stdio, n []uint64) error {
	for range n[0] {
		select {
		case size := <-s.resize:
			fmt.Fprintf(s.out, "%dx%d\n", size.Width, size.Height)
		case <-time.After(20 * time.Second):
			return errors.New("no terminal size came")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// late MS: leaves stdin alone for so long, then reads it to its end and prints the digest.
func late(ctx context.Context, s stdio, n []uint64) error {
	select {
	case <-time.After(time.Duration(n[0]) * time.Millisecond):
	case <-ctx.Done():
		return ctx.Err()
	}
	got, err := digest(s.in)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, got)
	return err
}

// ticks: a line every ten milliseconds until nobody takes it.
func ticks(ctx context.Context, s stdio, _ []uint64) error {
	for i := 0; ctx.Err() == nil; i++ {
		if _, err := fmt.Fprintf(s.out, "tick %d\n", i); err != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return ctx.Err()
}
