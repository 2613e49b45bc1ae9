// kubelet_logs: /containerLogs with follow, in the kubelet's manner: chunked, and flushed after every line. The container's
// name says which log it is, so that the reader can make the same lines: burst-N-slow-M or endless.
package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	slowEvery  = 50 * time.Millisecond // between the lines that come after the burst
	quickEvery = 5 * time.Millisecond  // between those of the endless log
)

// logLine is line i of every log: a number, and hexadecimal noise of a length that varies.
func logLine(i uint64) []byte {
	raw, err := io.ReadAll(noise(i, 10+i*7919%990))
	if err != nil {
		panic(err)
	}
	return fmt.Appendf(nil, "%09d %s\n", i, hex.EncodeToString(raw))
}

func serveLog(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("follow") != "true" {
		http.Error(w, "this kubelet only follows", http.StatusBadRequest)
		return
	}
	name := r.PathValue("container")
	var burst, slow uint64
	endless := name == "endless"
	if _, err := fmt.Sscanf(name, "burst-%d-slow-%d", &burst, &slow); err != nil && !endless {
		http.Error(w, "container not found", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	log := &flushing{w: w, to: http.NewResponseController(w)}
	for i := uint64(0); endless || i < burst+slow; i++ {
		if _, err := log.Write(logLine(i)); err != nil || r.Context().Err() != nil {
			fmt.Printf("log %s, %s: cut at line %d: %v\n", name, r.Proto, i, err)
			return
		}
		if endless {
			time.Sleep(quickEvery)
		} else if i >= burst {
			time.Sleep(slowEvery)
		}
	}
	fmt.Printf("log %s, %s, from %s: complete, longest write %d ms\n", name, r.Proto, r.UserAgent(), log.longest.Milliseconds())
}

// flushing writes through at once and remembers how long it was ever kept waiting.
type flushing struct {
	w       io.Writer
	to      *http.ResponseController
	longest time.Duration
}

func (f *flushing) Write(p []byte) (int, error) {
	begin := time.Now()
	n, err := f.w.Write(p)
	if err == nil {
		err = f.to.Flush()
	}
	f.longest = max(f.longest, time.Since(begin))
	return n, err
}

// sameLine expects line i of a log.
func sameLine(i uint64, got []byte) error {
	if want := logLine(i); !bytes.Equal(got, want) {
		return fmt.Errorf("line %d is %.40q (%d bytes), expected %.40q (%d bytes)", i, got, len(got), want, len(want))
	}
	return nil
}
