// kubelet_streams: exec, attach and port-forward as a kubelet serves them. It asks the CRI for a URL and lets the upgrade
// proxy go there; WebSocket requests are translated to SPDY on the way, as kubelets do since 1.36.
package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/util/proxy"
	translate "k8s.io/apiserver/pkg/util/proxy"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

type streams struct{ server streaming.Server }

// newStreams starts the CRI's streaming server on a loopback port, where containerd has it too.
func newStreams() (*streams, error) {
	config := streaming.DefaultConfig
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	config.BaseURL = &url.URL{Scheme: "http", Host: listener.Addr().String()}
	server, err := streaming.NewServer(config, container{})
	if err != nil {
		return nil, err
	}
	go http.Serve(listener, server)
	return &streams{server: server}, nil
}

func (s *streams) exec(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	asked := wanted(q)
	response, err := s.server.GetExec(&cri.ExecRequest{ContainerId: r.PathValue("container"), Cmd: q["command"],
		Stdin: asked.Stdin, Stdout: asked.Stdout, Stderr: asked.Stderr, Tty: asked.Tty})
	if err == nil && !strings.HasPrefix(r.PathValue("container"), "c-") {
		err = errors.New("container not found")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	s.command(w, r, response.Url, asked)
}

func (s *streams) attach(w http.ResponseWriter, r *http.Request) {
	asked := wanted(r.URL.Query())
	response, err := s.server.GetAttach(&cri.AttachRequest{ContainerId: r.PathValue("container"),
		Stdin: asked.Stdin, Stdout: asked.Stdout, Stderr: asked.Stderr, Tty: asked.Tty})
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	s.command(w, r, response.Url, asked)
}

// wanted is which streams the query asks for, in the kubelet's words.
func wanted(q url.Values) translate.Options {
	return translate.Options{Stdin: q.Get("input") == "1", Stdout: q.Get("output") == "1",
		Stderr: q.Get("error") == "1", Tty: q.Get("tty") == "1"}
}

func (s *streams) command(w http.ResponseWriter, r *http.Request, criURL string, asked translate.Options) {
	location, err := url.Parse(criURL)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	translate.NewTranslatingHandler(
		proxy.NewUpgradeAwareHandler(location, nil, false, true, kubeletResponder{}),
		translate.NewStreamTranslatorHandler(location, nil, 0, asked),
		wsstream.IsWebSocketRequestWithStreamCloseProtocol,
	).ServeHTTP(w, r)
}

func (s *streams) portForward(w http.ResponseWriter, r *http.Request) {
	response, err := s.server.GetPortForward(&cri.PortForwardRequest{PodSandboxId: r.PathValue("pod")})
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	location, err := url.Parse(response.Url)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	upgrade := proxy.NewUpgradeAwareHandler(location, nil, false, true, kubeletResponder{})
	translate.NewTranslatingHandler(upgrade, translate.NewTunnelingHandler(upgrade),
		wsstream.IsWebSocketRequestWithTunnelingProtocol).ServeHTTP(w, r)
}

// kubeletResponder tells errors as a kubelet does: plainly.
type kubeletResponder struct{}

func (kubeletResponder) Error(w http.ResponseWriter, _ *http.Request, err error) {
	http.Error(w, fmt.Sprintf("kubelet: %v", err), http.StatusInternalServerError)
}
