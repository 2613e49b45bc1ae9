// tunnels: the library's single-use tunnels, one gRPC connection each, as kube-apiserver uses them.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/apiserver-network-proxy/konnectivity-client/pkg/client"
)

type dialFunc func(ctx context.Context, address string) (net.Conn, error)

func (w *way) dial(ctx context.Context, address string) (net.Conn, error) {
	target, options, err := w.target()
	if err != nil {
		return nil, err
	}
	tunnel, err := client.CreateSingleUseGrpcTunnelWithContext(ctx, context.Background(), target, options...)
	if err != nil {
		return nil, err
	}
	return tunnel.DialContext(ctx, "tcp", address)
}

// checks are those that hold for whatever dials through a Proxy stream.
func checks(r *report, w *way, dial dialFunc) error {
	for _, each := range []struct {
		what   string
		handle func(*net.TCPConn)
		check  func(ctx context.Context, dial dialFunc, address string) error
	}{
		{"an echo comes back, 20 times, on a tunnel each", echo, many(20, echoes(3000))},
		{"64 tunnels at once, 1 MiB of echo each", echo, crowd(64, echoes(1<<20))},
		{"64 MiB down, to the byte", blob, download(64 << 20)},
		{"64 MiB up, to the byte", digest, upload(64 << 20)},
		{"16 at once, 4 MiB down and up", blob, crowd(16, download(4<<20))},
		{"a server that speaks first is heard, 20 times", banner, many(20, hearBanner)},
	} {
		address, stop, err := serve(w.destination, each.handle)
		if err != nil {
			return err
		}
		r.within(2*time.Minute, each.what, func(ctx context.Context) error { return each.check(ctx, dial, address) })
		stop()
	}
	for _, f := range w.fail {
		r.within(15*time.Second, fmt.Sprintf("%s: %q", f.address, f.words), func(ctx context.Context) error {
			return holds(dialOnly(ctx, dial, f.address), f.words)
		})
	}
	return nil
}

func runTunnels(w *way) error {
	var r report
	if err := checks(&r, w, w.dial); err != nil {
		return err
	}
	r.within(30*time.Second, "what was written before Close arrives, and then the end", func(ctx context.Context) error { return closes(ctx, w) })
	r.within(30*time.Second, "Close is answered while the destination talks on", func(ctx context.Context) error { return closesInTalk(ctx, w) })
	r.within(30*time.Second, "a dial that is given up ends at once, 20 times", func(ctx context.Context) error { return givesUp(ctx, w) })
	return r.end()
}

func dialOnly(ctx context.Context, dial dialFunc, address string) error {
	c, err := dial(ctx, address)
	if err == nil {
		c.Close()
	}
	return err
}

type connCheck func(ctx context.Context, dial dialFunc, address string) error

func many(times int, check connCheck) connCheck {
	return func(ctx context.Context, dial dialFunc, address string) error {
		for i := range times {
			if err := check(ctx, dial, address); err != nil {
				return fmt.Errorf("time %d: %w", i, err)
			}
		}
		return nil
	}
}

func crowd(size int, check connCheck) connCheck {
	return func(ctx context.Context, dial dialFunc, address string) error {
		var all sync.WaitGroup
		failed := make(chan error, size)
		for range size {
			all.Go(func() { failed <- check(ctx, dial, address) })
		}
		all.Wait()
		close(failed)
		var err error
		for each := range failed {
			err = errors.Join(err, each)
		}
		return err
	}
}

func echoes(size int) connCheck {
	return func(ctx context.Context, dial dialFunc, address string) error {
		c, err := dial(ctx, address)
		if err != nil {
			return err
		}
		sent, got := make([]byte, size), make([]byte, size)
		noise(sent, 7)
		go func() {
			for at := 0; at < size; at += 10000 {
				c.Write(sent[at:min(at+10000, size)])
			}
		}()
		if _, err := io.ReadFull(c, got); err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if !bytes.Equal(sent, got) {
			return errors.New("other bytes came back")
		}
		return c.Close()
	}
}

func ask(c net.Conn, size uint64) error {
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], size)
	_, err := c.Write(number[:])
	return err
}

// download ends with the destination's end: every byte comes before it.
func download(size uint64) connCheck {
	return func(ctx context.Context, dial dialFunc, address string) error {
		c, err := dial(ctx, address)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := ask(c, size); err != nil {
			return err
		}
		got, want := make([]byte, 32<<10), make([]byte, 32<<10)
		at := uint64(0)
		for {
			n, err := c.Read(got)
			noise(want[:n], at)
			if !bytes.Equal(got[:n], want[:n]) {
				return fmt.Errorf("other bytes after %d", at)
			}
			at += uint64(n)
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
		}
		if at != size {
			return fmt.Errorf("the end came after %d bytes of %d", at, size)
		}
		return nil
	}
}

// upload writes pieces of all sizes up to a megabyte.
func upload(size uint64) connCheck {
	return func(ctx context.Context, dial dialFunc, address string) error {
		c, err := dial(ctx, address)
		if err != nil {
			return err
		}
		if err := ask(c, size); err != nil {
			return err
		}
		sum, room := sha256.New(), make([]byte, 1<<20)
		for at, piece := uint64(0), uint64(1); at < size; piece = piece*3%uint64(len(room)) + 1 {
			n := min(piece, size-at)
			noise(room[:n], at)
			sum.Write(room[:n])
			if _, err := c.Write(room[:n]); err != nil {
				return err
			}
			at += n
		}
		got := make([]byte, sha256.Size)
		if _, err := io.ReadFull(c, got); err != nil {
			return err
		}
		if !bytes.Equal(got, sum.Sum(nil)) {
			return errors.New("other bytes arrived")
		}
		return c.Close()
	}
}

func hearBanner(ctx context.Context, dial dialFunc, address string) error {
	c, err := dial(ctx, address)
	if err != nil {
		return err
	}
	got := make([]byte, len(bannerText))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != bannerText {
		return fmt.Errorf("%q: %v", got, err)
	}
	return c.Close()
}

func closes(ctx context.Context, w *way) error {
	got := make(chan string, 1)
	address, stop, err := serve(w.destination, keeps(got))
	if err != nil {
		return err
	}
	defer stop()
	for _, size := range []int{0, 1, 200_000, 3_000_000} {
		c, err := w.dial(ctx, address)
		if err != nil {
			return err
		}
		for left := size; left > 0; left -= min(left, 50_000) {
			c.Write(make([]byte, min(left, 50_000)))
		}
		if err := c.Close(); err != nil {
			return fmt.Errorf("after %d bytes: %w", size, err)
		}
		select {
		case end := <-got:
			if want := fmt.Sprintf("%d bytes and its end", size); end != want {
				return fmt.Errorf("%s, expected %s", end, want)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func closesInTalk(ctx context.Context, w *way) error {
	over := make(chan error, 1)
	address, stop, err := serve(w.destination, func(c *net.TCPConn) {
		for {
			if _, err := c.Write(make([]byte, 10000)); err != nil {
				over <- err
				return
			}
		}
	})
	if err != nil {
		return err
	}
	defer stop()
	c, err := w.dial(ctx, address)
	if err != nil {
		return err
	}
	if _, err := io.ReadFull(c, make([]byte, 1<<20)); err != nil {
		return err
	}
	go io.Copy(io.Discard, c) // the library hears nothing while its reader stands
	begun := time.Now()
	if err := c.Close(); err != nil && !strings.Contains(err.Error(), "tunnel closed") {
		return err
	}
	if took := time.Since(begun); took > 5*time.Second {
		return fmt.Errorf("Close took %v", took)
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return errors.New("the destination is not told")
	}
}

func givesUp(ctx context.Context, w *way) error {
	address, stop, err := deaf(w.destination)
	if err != nil {
		return err
	}
	defer stop()
	for range 20 {
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		err := dialOnly(short, w.dial, address)
		cancel()
		if err := holds(err, "context"); err != nil {
			return err
		}
	}
	return nil
}
