// bridgeclient is Go's crypto/tls and crypto/x509 before certificates that are made for destinations, and behind a choice
// of protocols:
//
//	bridgeclient connect -proxy A:P -ca F [-cert F -key F] [-alpn h2,http/1.1] [-early] [-name N] HOST:PORT
//	    CONNECT, TLS inside with the host (or N) verified as net/http does, a GET; prints the answer's body
//	bridgeclient verify -ca F CHAIN.pem NAME...
//	    x509.Verify of a chain for addresses and names
//	bridgeclient serve -address A:P -cert F -key F [-alpn h2,http/1.1]
//	    a server that chooses among these
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

func roots(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: no certificate", path)
	}
	return pool, nil
}

func protocols(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// early sends the CONNECT together with the first bytes that are written, and takes the answer off the first read.
type early struct {
	net.Conn
	in   *bufio.Reader
	head string
	read bool
}

func (e *early) Write(p []byte) (int, error) {
	if e.head == "" {
		return e.Conn.Write(p)
	}
	n, err := e.Conn.Write(append([]byte(e.head), p...))
	n -= len(e.head)
	e.head = ""
	if n < 0 {
		n = 0
	}
	return n, err
}

func (e *early) Read(p []byte) (int, error) {
	if !e.read {
		e.read = true
		if err := answered(e.in); err != nil {
			return 0, err
		}
	}
	return e.in.Read(p)
}

func answered(in *bufio.Reader) error {
	response, err := http.ReadResponse(in, &http.Request{Method: "CONNECT"})
	if err == nil && response.StatusCode != 200 {
		err = fmt.Errorf("CONNECT: %s", response.Status)
	}
	return err
}

func connect(args []string) error {
	fs := flag.NewFlagSet("connect", flag.ExitOnError)
	proxy := fs.String("proxy", "", "address and port")
	ca := fs.String("ca", "", "who signs for destinations")
	cert := fs.String("cert", "", "client certificate")
	key := fs.String("key", "", "client key")
	alpn := fs.String("alpn", "", "comma separated")
	name := fs.String("name", "", "verified instead of the host")
	soon := fs.Bool("early", false, "the hello follows the CONNECT at once")
	fs.Parse(args)
	target := fs.Arg(0)
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		return err
	}
	config := &tls.Config{ServerName: host, NextProtos: protocols(*alpn)}
	if *name != "" {
		config.ServerName = *name
	}
	if config.RootCAs, err = roots(*ca); err != nil {
		return err
	}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			return err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	c, err := net.Dial("tcp", *proxy)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	e := &early{Conn: c, in: bufio.NewReader(c), head: fmt.Sprintf("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)}
	if !*soon {
		if _, err := io.WriteString(c, e.head); err != nil {
			return err
		}
		e.head, e.read = "", true
		if err := answered(e.in); err != nil {
			return err
		}
	}
	inner := tls.Client(e, config)
	if err := inner.Handshake(); err != nil {
		return err
	}
	fmt.Fprintf(inner, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", target)
	response, err := http.ReadResponse(bufio.NewReader(inner), nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}

func verify(args []string) error {
	fs := flag.NewFlagSet("verify", flag.ExitOnError)
	ca := fs.String("ca", "", "who is trusted")
	fs.Parse(args)
	pool, err := roots(*ca)
	if err != nil {
		return err
	}
	rest, err := os.ReadFile(fs.Arg(0))
	if err != nil {
		return err
	}
	var leaf *x509.Certificate
	others := x509.NewCertPool()
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		if leaf == nil {
			leaf = c
		} else {
			others.AddCert(c)
		}
	}
	if leaf == nil {
		return fmt.Errorf("%s: no certificate", fs.Arg(0))
	}
	for _, name := range fs.Args()[1:] {
		options := x509.VerifyOptions{DNSName: name, Roots: pool, Intermediates: others, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		if _, err := leaf.Verify(options); err != nil {
			return fmt.Errorf("%s: %v", name, err)
		}
	}
	return nil
}

func serve(args []string) error {
	fs := flag.NewFlagSet("serve", flag.ExitOnError)
	address := fs.String("address", "", "address and port")
	cert := fs.String("cert", "", "certificate")
	key := fs.String("key", "", "key")
	alpn := fs.String("alpn", "", "comma separated")
	fs.Parse(args)
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", *address, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: protocols(*alpn)})
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			io.Copy(io.Discard, c)
			c.Close()
		}()
	}
}

func main() {
	run := map[string]func([]string) error{"connect": connect, "verify": verify, "serve": serve}
	if len(os.Args) < 2 || run[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: bridgeclient connect|verify|serve [-help]")
		os.Exit(2)
	}
	if err := run[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "bridgeclient:", err)
		os.Exit(1)
	}
}
