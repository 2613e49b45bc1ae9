// kubeapi is as much of a kube-apiserver as the broker asks: TokenReviews and Leases, over TLS, with the types and the
// strict decoding of Kubernetes' own modules. So it is they who say whether what the broker writes is what it should be.
//
//	kubeapi -address HOST:PORT -cert FILE -key FILE -control HOST:PORT -bearer FILE -tokens FILE
//
// Only who shows the token in the file -bearer, or a certificate of -client-ca, is served. The file -tokens has a line
// TOKEN USERNAME AUDIENCE[,AUDIENCE] for each token that is good; "-" stands for no audience at all. How it misbehaves is
// told at -control, see control.go.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	coordv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
)

var (
	scheme  = runtime.NewScheme()
	strict  runtime.Serializer
	bearer  = flag.String("bearer", "", "file with the token that is let in; read anew for each request")
	tokens  = flag.String("tokens", "", "file with the tokens that are good; likewise")
	address = flag.String("address", "", "HOST:PORT of the API")
	control = flag.String("control", "", "HOST:PORT where it is told how to misbehave")
	cert    = flag.String("cert", "", "its certificate")
	key     = flag.String("key", "", "its key")
	ca      = flag.String("client-ca", "", "who has a certificate of this CA is let in, too")
	http1   = flag.Bool("http1", false, "speak HTTP/1.1 only")
)

func init() {
	for _, add := range []func(*runtime.Scheme) error{authv1.AddToScheme, coordv1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	strict = json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Strict: true})
}

// isLetIn is whether the request comes from somebody the API server knows.
func isLetIn(r *http.Request) bool {
	if len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	want, err := os.ReadFile(*bearer)
	return err == nil && r.Header.Get("Authorization") == "Bearer "+strings.TrimSpace(string(want))
}

func tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if *http1 {
		config.NextProtos = []string{"http/1.1"}
	}
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		if err != nil {
			return nil, err
		}
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AppendCertsFromPEM(pem)
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return config, nil
}

func main() {
	flag.Parse()
	config, err := tlsConfig()
	if err != nil {
		log.Fatal("kubeapi: ", err)
	}
	server := http.Server{Addr: *address, Handler: counted(http.HandlerFunc(serve)), TLSConfig: config, ReadTimeout: time.Minute}
	if *http1 {
		server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	}
	server.ConnState = noteConn
	go func() { log.Fatal("kubeapi: ", http.ListenAndServe(*control, http.HandlerFunc(serveControl))) }()
	fmt.Println("kubeapi: serves", *address)
	log.Fatal("kubeapi: ", server.ListenAndServeTLS(*cert, *key))
}
