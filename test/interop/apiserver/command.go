// command: one exec or attach as kubectl makes it, by client-go's executors, over SPDY or WebSocket.
package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"time"

	"k8s.io/client-go/tools/remotecommand"
)

// protocols that kubectl can speak.
var protocols = []string{"SPDY", "WebSocket"}

const (
	execPath    = "/exec/default/pod/c-main"
	attachPath  = "/attach/default/pod/c-main"
	missingPath = "/exec/default/pod/none"
)

// command is what to run and what to do with its streams; nil ones are not asked for.
type command struct {
	path     string
	argv     []string
	in       io.Reader
	out, err io.Writer
	tty      bool
	sizes    remotecommand.TerminalSizeQueue
	limit    time.Duration
}

func (c *command) query() url.Values {
	q := url.Values{"command": c.argv}
	for name, asked := range map[string]bool{"input": c.in != nil, "output": c.out != nil, "error": c.err != nil, "tty": c.tty} {
		if asked {
			q.Set(name, "1")
		}
	}
	return q
}

// run gives what kubectl would make its exit code of.
func (c *command) run(f *facade, protocol string) error {
	executor, err := c.executor(f, protocol)
	if err != nil {
		return err
	}
	limit := c.limit
	if limit == 0 {
		limit = time.Minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return executor.StreamWithContext(ctx, remotecommand.StreamOptions{
		Stdin: c.in, Stdout: c.out, Stderr: c.err, Tty: c.tty, TerminalSizeQueue: c.sizes,
	})
}

func (c *command) executor(f *facade, protocol string) (remotecommand.Executor, error) {
	path := c.path
	if path == "" {
		path = execPath
	}
	target := f.at(path, c.query())
	switch protocol {
	case "SPDY":
		return remotecommand.NewSPDYExecutor(f.config(), "POST", target)
	case "WebSocket":
		return remotecommand.NewWebSocketExecutor(f.config(), "GET", target.String())
	}
	return nil, fmt.Errorf("%s: no such protocol", protocol)
}
