// way: how the API server's part gets to a kubelet.
//
//	connect   the egress selector's dialer; TLS with the kubelet goes through the tunnel and is nobody else's business
//	bridge    the same dialer and the same bytes, but it is the broker that ends the TLS and asks the kubelet in turn
//	forward   plain HTTP to the broker with the whole https:// address in the request line; the broker makes the TLS
//	direct    no broker: what the libraries do by themselves, to compare with
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"k8s.io/client-go/transport"
)

type way struct {
	via, node     string
	egress        string // file with an EgressSelectorConfiguration, for connect and bridge
	broker        string // unix:PATH or tls:HOST:PORT, for forward
	ca, cert, key string // of the connection to the node, or to the broker if that is TLS and the way is forward
	http1         bool
	once          bool // one request a connection
	dial          dialFunc
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

func (w *way) flags(set *flag.FlagSet) {
	set.StringVar(&w.via, "via", "connect", "connect, bridge, forward or direct")
	set.StringVar(&w.node, "node", "", "the kubelet's HOST:PORT")
	set.StringVar(&w.egress, "egress", "", "EgressSelectorConfiguration, for connect and bridge")
	set.StringVar(&w.broker, "broker", "", "unix:PATH or tls:HOST:PORT, for forward")
	set.StringVar(&w.ca, "ca", "", "CA of whoever answers in TLS")
	set.StringVar(&w.cert, "cert", "", "client certificate")
	set.StringVar(&w.key, "key", "", "its key")
	set.BoolVar(&w.http1, "http1", false, "do not offer HTTP/2")
}

// open settles how connections are made.
func (w *way) open() (err error) {
	switch w.via {
	case "connect", "bridge":
		w.dial, err = clusterDialer(w.egress)
	case "forward":
		w.dial, err = w.forwardDialer()
	case "direct":
		w.dial = (&net.Dialer{}).DialContext
	default:
		err = fmt.Errorf("-via %s: not a way", w.via)
	}
	return err
}

// location is what path becomes on this way. In forward mode it is the connection that adds https://, so that the
// libraries do not begin a TLS handshake with the broker's socket.
func (w *way) location(path string) *url.URL {
	scheme := "https"
	if w.via == "forward" {
		scheme = "http"
	}
	return &url.URL{Scheme: scheme, Host: w.node, Path: path}
}

// transport is made as kube-apiserver makes its own for kubelets: by client-go, with the egress selector's dialer in it.
func (w *way) transport() (http.RoundTripper, error) {
	if w.via == "forward" {
		return &http.Transport{DialContext: w.dial, DisableKeepAlives: true}, nil
	}
	config := &transport.Config{
		TLS:        transport.TLSConfig{CAFile: w.ca, CertFile: w.cert, KeyFile: w.key},
		DialHolder: &transport.DialHolder{Dial: w.dial},
	}
	if w.http1 {
		config.TLS.NextProtos = []string{"http/1.1"}
	}
	return transport.New(config)
}

// tlsConfig is for those who hold the connection in their own hands.
func (w *way) tlsConfig() (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(w.cert, w.key)
	if err != nil {
		return nil, err
	}
	roots, err := loadRoots(w.ca)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots, NextProtos: []string{"http/1.1"}}, nil
}

func (w *way) forwardDialer() (dialFunc, error) {
	kind, address, _ := strings.Cut(w.broker, ":")
	var toBroker dialFunc
	switch kind {
	case "unix":
		toBroker = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", address)
		}
	case "tls":
		config, err := w.tlsConfig()
		if err != nil {
			return nil, err
		}
		toBroker = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
		}
	default:
		return nil, fmt.Errorf("-broker %s: expected unix:PATH or tls:HOST:PORT", w.broker)
	}
	return func(ctx context.Context, network, node string) (net.Conn, error) {
		c, err := toBroker(ctx, network, node)
		if err != nil {
			return nil, err
		}
		return &absoluteConn{Conn: c, origin: "https://" + node}, nil
	}, nil
}

func loadRoots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it", file)
	}
	return roots, nil
}
