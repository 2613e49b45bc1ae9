package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// absolute is an http.RoundTripper that speaks to a proxy in absolute-form for https targets too, which net/http itself
// would put into CONNECT. It is net/http's Transport, told that every request is plain http; the target is written by
// a connection that rewrites nothing: http.Request.Write in proxy form.
type absolute struct {
	dial func(context.Context) (net.Conn, error)
}

// body ends its connection when it is closed: one connection for each request keeps this client simple.
type body struct {
	io.Reader
	c net.Conn
}

func (b body) Close() error { return b.c.Close() }

func (a absolute) RoundTrip(r *http.Request) (*http.Response, error) {
	c, err := a.dial(r.Context())
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(60 * time.Second))
	wrote := make(chan error, 1)
	go func() { wrote <- r.WriteProxy(c) }()
	br := bufio.NewReader(c)
	for {
		response, err := http.ReadResponse(br, r)
		if err != nil {
			c.Close()
			return nil, err
		}
		if response.StatusCode >= 100 && response.StatusCode < 200 {
			if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.Got1xxResponse != nil {
				trace.Got1xxResponse(response.StatusCode, textproto.MIMEHeader(response.Header))
			}
			continue
		}
		response.Body = body{response.Body, c}
		return response, nil
	}
}

type checker struct {
	client *http.Client
	target string
	failed int
}

func (k *checker) check(what string, err error) {
	if err != nil {
		k.failed++
		fmt.Printf("FAIL: %s: %v\n", what, err)
	}
}

func (k *checker) do(method, path string, b io.Reader, change func(*http.Request)) (int, string, *http.Response, error) {
	r, err := http.NewRequest(method, k.target+path, b)
	if err != nil {
		return 0, "", nil, err
	}
	if change != nil {
		change(r)
	}
	response, err := k.client.Do(r)
	if err != nil {
		return 0, "", nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), response, err
}

func (k *checker) expect(method, path string, b io.Reader, status int, text string) error {
	code, found, _, err := k.do(method, path, b, nil)
	if err == nil && (code != status || found != text) {
		err = fmt.Errorf("expected %d %.40q, found %d %.80q", status, text, code, found)
	}
	return err
}

func (k *checker) digest(size int, chunked bool) error {
	data := make([]byte, size)
	rand.Read(data)
	sum := sha256.Sum256(data)
	want := hex.EncodeToString(sum[:])
	var b io.Reader = bytes.NewReader(data)
	if chunked {
		b = io.MultiReader(b) // hides the length
	}
	code, text, response, err := k.do("POST", "/digest", b, func(r *http.Request) {
		if chunked {
			r.Trailer = http.Header{"X-Sum": {want}}
		}
	})
	switch {
	case err != nil:
		return err
	case code != 200 || text != fmt.Sprintf("%d %s", size, want):
		return fmt.Errorf("found %d %.100q, expected %d bytes", code, text, size)
	case response.Trailer.Get("X-Digest") != want:
		return fmt.Errorf("the trailer is %q", response.Trailer)
	case chunked && response.Header.Get("X-Announced") != want:
		return fmt.Errorf("the request's trailer arrived as %q", response.Header.Get("X-Announced"))
	}
	return nil
}

func (k *checker) large(size int, length string) error {
	code, text, _, err := k.do("GET", fmt.Sprintf("/large?size=%d%s", size, length), nil, nil)
	if err == nil && (code != 200 || len(text) != size) {
		err = fmt.Errorf("found %d and %d bytes", code, len(text))
	}
	for i := 0; err == nil && i < len(text); i++ {
		if text[i] != byte((i%65536)*7) {
			err = fmt.Errorf("byte %d is wrong", i)
		}
	}
	return err
}

func (k *checker) all() {
	k.check("GET", k.expect("GET", "/ok", nil, 200, "ok\n"))
	k.check("HEAD", k.expect("HEAD", "/ok", nil, 200, ""))
	k.check("204", k.expect("GET", "/status?code=204", nil, 204, ""))
	k.check("304", k.expect("GET", "/status?code=304", nil, 304, ""))
	k.check("500", k.expect("GET", "/status?code=500", nil, 500, ""))
	for _, size := range []int{0, 1, 4095, 65536, 1 << 20, 5 << 20} {
		k.check(fmt.Sprintf("POST %d", size), k.digest(size, false))
		k.check(fmt.Sprintf("POST %d chunked, trailers both ways", size), k.digest(size, true))
	}
	k.check("16 MiB with length", k.large(16<<20, "&length=1"))
	k.check("16 MiB chunked", k.large(16<<20+123, ""))
	lines := ""
	for i := 0; i < 100; i++ {
		lines += fmt.Sprintf("line %d\n", i)
	}
	k.check("100 flushes", k.expect("GET", "/chunks", nil, 200, lines))
	code, _, _, err := k.do("GET", "/abort", nil, nil)
	if err == nil {
		k.check("a cut body", fmt.Errorf("looked complete, status %d", code))
	}
	code, _, _, err = k.do("POST", "/refuse-early", io.LimitReader(rand.Reader, 64<<20), nil)
	if err == nil && code != http.StatusRequestEntityTooLarge {
		err = fmt.Errorf("status %d", code)
	}
	var reset *net.OpError
	if errors.As(err, &reset) { // the client may be cut while it still writes
		err = nil
	}
	k.check("an early refusal of an upload", err)
	k.check("after it", k.expect("GET", "/ok", nil, 200, "ok\n"))
	var hints []int
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = append(hints, code)
		return nil
	}}
	code, text, _, err := k.do("GET", "/hints", nil, func(r *http.Request) { *r = *r.WithContext(httptrace.WithClientTrace(r.Context(), trace)) })
	if err == nil && (code != 200 || text != "after" || len(hints) != 1 || hints[0] != 103) {
		err = fmt.Errorf("found %d %q %v", code, text, hints)
	}
	k.check("103", err)
	k.parallel()
}

func (k *checker) parallel() {
	var wg sync.WaitGroup
	errs := make(chan error, 40)
	for i := 0; i < 40; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs <- k.expect("GET", "/slow", nil, 200, "GET")
		}()
	}
	wg.Wait()
	for i := 0; i < 40; i++ {
		k.check("40 at once", <-errs)
	}
}

func client(args []string) error {
	fs := flag.NewFlagSet("client", flag.ExitOnError)
	target := fs.String("target", "", "scheme://host:port behind the broker")
	unix := fs.String("unix", "", "the broker's Unix socket")
	proxy := fs.String("proxy", "", "or its URL")
	goProxy := fs.Bool("go-proxy", false, "net/http's own proxy support, keep-alive and all")
	ca := fs.String("ca", "", "CA of the broker")
	cert := fs.String("cert", "", "client certificate")
	key := fs.String("key", "", "client key")
	fs.Parse(args)

	config := &tls.Config{ServerName: "127.0.0.1"}
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		if err != nil {
			return err
		}
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(pem)
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			return err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	dial := func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		if *unix != "" {
			return d.DialContext(ctx, "unix", *unix)
		}
		td := tls.Dialer{Config: config}
		return td.DialContext(ctx, "tcp", strings.TrimPrefix(*proxy, "https://"))
	}
	var transport http.RoundTripper = absolute{dial}
	if *goProxy {
		u, err := url.Parse(*proxy)
		if err != nil {
			return err
		}
		transport = &http.Transport{Proxy: http.ProxyURL(u), TLSClientConfig: config, MaxIdleConnsPerHost: 50, ExpectContinueTimeout: time.Second}
	}
	k := &checker{client: &http.Client{Transport: transport, Timeout: 90 * time.Second}, target: *target}
	k.all()
	if *goProxy {
		// Expect: 100-continue, as net/http does it: the body waits for the server's word.
		code, text, _, err := k.do("POST", "/digest", strings.NewReader("body"), func(r *http.Request) { r.Header.Set("Expect", "100-continue") })
		if err == nil && (code != 200 || !strings.HasPrefix(text, "4 ")) {
			err = fmt.Errorf("found %d %q", code, text)
		}
		k.check("Expect: 100-continue", err)
	}
	if k.failed > 0 {
		return fmt.Errorf("%d checks failed", k.failed)
	}
	return nil
}
