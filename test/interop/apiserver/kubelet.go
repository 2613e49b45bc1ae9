// kubelet: the node's end, built as a kubelet is: TLS that asks for a certificate and judges it for every request, logs
// flushed line by line, and streams that pass through to the CRI's streaming server.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

type kubelet struct {
	clients *x509.CertPool
	streams *streams
}

func runKubelet(arguments []string) error {
	set := flag.NewFlagSet("kubelet", flag.ExitOnError)
	address := set.String("address", "", "HOST:PORT to serve on, or several with commas")
	cert := set.String("cert", "", "serving certificate")
	key := set.String("key", "", "its key")
	ca := set.String("client-ca", "", "CA of client certificates")
	http1 := set.Bool("http1", false, "HTTP/1.1 only, as kubelets that reload their client CA are")
	banner := set.String("banner", "", "HOST:PORT of a server that speaks first")
	deaf := set.String("deaf", "", "HOST:PORT of a server that takes no connection")
	set.Parse(arguments)

	clients, err := loadRoots(*ca)
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		return err
	}
	k := &kubelet{clients: clients}
	if k.streams, err = newStreams(); err != nil {
		return err
	}
	if err := errors.Join(serveBanner(*banner), serveDeaf(*deaf)); err != nil {
		return err
	}
	server := &http.Server{
		Handler:   k.authenticated(k.routes()),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12},
	}
	if *http1 {
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	}
	over := make(chan error)
	for at := range strings.SplitSeq(*address, ",") {
		listener, err := net.Listen("tcp", at)
		if err != nil {
			return err
		}
		go func() { over <- server.ServeTLS(listener, "", "") }()
	}
	return <-over
}

// authenticated is the kubelet's way: the handshake takes anybody, the request takes only those whose certificate chains.
func (k *kubelet) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) > 0 {
			options := x509.VerifyOptions{Roots: k.clients, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
			if _, err := r.TLS.PeerCertificates[0].Verify(options); err == nil {
				next.ServeHTTP(w, r)
				return
			}
		}
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	})
}

func (k *kubelet) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	mux.HandleFunc("GET /whoami", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	})
	mux.HandleFunc("GET /noise/{seed}/{size}", serveNoise)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", serveLog)
	for _, method := range []string{"GET", "POST"} {
		mux.HandleFunc(method+" /exec/{namespace}/{pod}/{container}", k.streams.exec)
		mux.HandleFunc(method+" /attach/{namespace}/{pod}/{container}", k.streams.attach)
		mux.HandleFunc(method+" /portForward/{namespace}/{pod}", k.streams.portForward)
	}
	return mux
}

func serveNoise(w http.ResponseWriter, r *http.Request) {
	seed, err1 := strconv.ParseUint(r.PathValue("seed"), 10, 64)
	size, err2 := strconv.ParseUint(r.PathValue("size"), 10, 63)
	if err1 != nil || err2 != nil {
		http.Error(w, "expected /noise/SEED/SIZE", http.StatusBadRequest)
		return
	}
	io.Copy(w, noise(seed, size))
}
