// facade: kube-apiserver's part for streams. kubectl's libraries speak to it, it speaks to the kubelet: with the very
// upgrade proxy that kube-apiserver has, over a way that goes through the broker. Its paths are the kubelet's own, so
// nothing of the API's naming has to be repeated here.
package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/proxy"
	restclient "k8s.io/client-go/rest"
)

type facade struct {
	way       *way
	transport http.RoundTripper
	url       *url.URL
	server    *http.Server
}

func newFacade(w *way) (*facade, error) {
	rt, err := w.transport()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &facade{way: w, transport: rt, url: &url.URL{Scheme: "http", Host: listener.Addr().String()}}
	f.server = &http.Server{Handler: f}
	go f.server.Serve(listener)
	return f, nil
}

func (f *facade) close() { f.server.Close() }

func (f *facade) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	location := f.way.location(r.URL.Path)
	location.RawQuery = r.URL.RawQuery
	upgrade := proxy.NewUpgradeAwareHandler(location, f.transport, false, true, statusResponder{})
	upgrade.UseLocationHost = f.way.via == "forward" // kube-apiserver leaves the Host it was called by; forward mode refuses it
	upgrade.ServeHTTP(w, r)
}

// statusResponder tells an error as kube-apiserver does, in a Status; kubectl prints its message.
type statusResponder struct{}

func (statusResponder) Error(w http.ResponseWriter, _ *http.Request, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusInternalServerError)
	status := apierrors.NewInternalError(err).Status()
	status.APIVersion, status.Kind = "v1", "Status"
	json.NewEncoder(w).Encode(status)
}

// at is what kubectl would call: path at the facade.
func (f *facade) at(path string, query url.Values) *url.URL {
	u := *f.url
	u.Path, u.RawQuery = path, query.Encode()
	return &u
}

func (f *facade) config() *restclient.Config { return &restclient.Config{Host: f.url.String()} }
