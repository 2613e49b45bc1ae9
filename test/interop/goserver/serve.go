package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// stats is what the server saw of handshakes; written to a file after each connection.
type stats struct {
	sync.Mutex
	path                                         string
	handshakes, resumed, certificates, rotations int
	version                                      string
}

func (s *stats) note(state tls.ConnectionState) {
	s.Lock()
	defer s.Unlock()
	s.handshakes++
	if state.DidResume {
		s.resumed++
	}
	if len(state.PeerCertificates) > 0 {
		s.certificates++
	}
	s.version = map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"}[state.Version]
	s.write()
}

func (s *stats) write() {
	if s.path == "" {
		return
	}
	text := fmt.Sprintf("handshakes %d\nresumed %d\ncertificates %d\nrotations %d\nversion %s\n",
		s.handshakes, s.resumed, s.certificates, s.rotations, s.version)
	if err := os.WriteFile(s.path+".new", []byte(text), 0o644); err == nil {
		os.Rename(s.path+".new", s.path)
	}
}

// rotating counts accepted connections and gives the configuration a new ticket key every so many; the previous key
// still opens tickets, as in a server that rotates daily.
type rotating struct {
	net.Listener
	config *tls.Config
	every  int
	stats  *stats
	count  int
	keys   [][32]byte
}

func (r *rotating) newKey() {
	var key [32]byte
	rand.Read(key[:])
	r.keys = append([][32]byte{key}, r.keys...)
	if len(r.keys) > 2 {
		r.keys = r.keys[:2]
	}
	r.config.SetSessionTicketKeys(r.keys)
}

func (r *rotating) Accept() (net.Conn, error) {
	c, err := r.Listener.Accept()
	if err != nil {
		return nil, err
	}
	r.count++
	if r.count%r.every == 0 {
		r.newKey()
		r.stats.Lock()
		r.stats.rotations++
		r.stats.Unlock()
	}
	return tls.Server(c, r.config), nil
}

func handler(st *stats) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok\n") })
	// The digest of what arrived, in a trailer of its own too.
	mux.HandleFunc("/digest", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		w.Header().Set("Trailer", "X-Digest")
		w.Header().Set("X-Announced", r.Trailer.Get("X-Sum"))
		fmt.Fprintf(w, "%d %s", n, hex.EncodeToString(h.Sum(nil)))
		w.(http.Flusher).Flush()
		w.Header().Set("X-Digest", hex.EncodeToString(h.Sum(nil)))
	})
	mux.HandleFunc("/chunks", func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < 100; i++ {
			fmt.Fprintf(w, "line %d\n", i)
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.Atoi(r.URL.Query().Get("size"))
		if r.URL.Query().Get("length") != "" {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		}
		block := make([]byte, 65536)
		for i := range block {
			block[i] = byte(i * 7)
		}
		for size > 0 {
			n := min(size, len(block))
			w.Write(block[:n])
			size -= n
		}
	})
	mux.HandleFunc("/refuse-early", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
	})
	mux.HandleFunc("/abort", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(200)
		io.WriteString(w, "after")
	})
	mux.HandleFunc("/status", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.URL.Query().Get("code"))
		w.WriteHeader(code)
	})
	mux.HandleFunc("/proto", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s\n", r.Proto, r.Host, r.RemoteAddr)
	})
	// Answers when n requests are here at the same time; says whether that came to pass.
	var lock sync.Mutex
	here, all := 0, make(chan struct{})
	mux.HandleFunc("/together", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		lock.Lock()
		mine := all
		if here++; here == n {
			close(all)
			here, all = 0, make(chan struct{})
		}
		lock.Unlock()
		select {
		case <-mine:
			fmt.Fprintln(w, r.RemoteAddr)
		case <-time.After(20 * time.Second):
			lock.Lock()
			here--
			lock.Unlock()
			http.Error(w, "not together", http.StatusGatewayTimeout)
		}
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(300 * time.Millisecond)
		io.WriteString(w, r.Method)
	})
	return mux
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}

func serve(args []string) error {
	fs := flag.NewFlagSet("serve", flag.ExitOnError)
	address := fs.String("address", "", "host:port")
	cert := fs.String("cert", "", "certificate")
	key := fs.String("key", "", "key")
	clientCA := fs.String("client-ca", "", "CA of client certificates")
	version := fs.String("version", "1.3", "the only TLS version, 1.2 or 1.3")
	every := fs.Int("rotate", 100, "connections between new ticket keys")
	path := fs.String("stats", "", "file for the counts")
	plain := fs.Bool("plain", false, "HTTP without TLS")
	keep := fs.Bool("keep-alive", false, "keep connections")
	h2 := fs.Bool("h2", false, "offer HTTP/2")
	fs.Parse(args)

	l, err := net.Listen("tcp", *address)
	if err != nil {
		return err
	}
	st := &stats{path: *path}
	st.write()
	server := &http.Server{Handler: handler(st), ErrorLog: log.New(os.Stderr, "", 0)}
	server.SetKeepAlivesEnabled(*keep)
	if *plain {
		return server.Serve(l)
	}
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		return err
	}
	pem, err := os.ReadFile(*clientCA)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	v := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[*version]
	config := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots,
		MinVersion: v, MaxVersion: v, NextProtos: []string{"http/1.1"}}
	config.VerifyConnection = func(state tls.ConnectionState) error { st.note(state); return nil }
	if *h2 {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	r := &rotating{Listener: l, config: config, every: *every, stats: st}
	r.newKey()
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGUSR1) // as a server that is restarted politely: GOAWAY, and what is open ends
	done := make(chan error, 1)
	go func() {
		<-end
		done <- server.Shutdown(context.Background())
	}()
	if err := server.Serve(r); err != http.ErrServerClosed {
		return err
	}
	return <-done
}
