// apiserver is the client that Hawser is a drop-in for, put together from the libraries that kube-apiserver and kubectl
// are made of, and the kubelet behind it: egress selector, upgrade proxy, remotecommand, port-forward, CRI streaming.
//
//	apiserver kubelet ...   the node's end: TLS, certificates checked per request, logs, exec, attach, port-forward
//	apiserver egress ...    the egress selector with a configuration file: reaches a server, and tells why it does not
//	apiserver streams ...   kubectl's streams through the broker: exec, attach, port-forward, many at once
//	apiserver stalls ...    followed logs and a stdin whose readers stop for more than a minute
//	apiserver death ...     a kubelet that is killed while it serves: nothing of it may look complete
package main

import (
	"flag"
	"fmt"
	"os"

	"k8s.io/klog/v2"
)

func main() {
	run := map[string]func([]string) error{
		"kubelet": runKubelet, "egress": runEgress, "streams": runStreams, "stalls": runStalls, "death": runDeath,
	}
	if len(os.Args) < 2 || run[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: apiserver kubelet|egress|streams|stalls|death [-help]")
		os.Exit(2)
	}
	quietKlog()
	if err := run[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "apiserver:", err)
		os.Exit(1)
	}
}

// quietKlog keeps the libraries' own log on stderr; it is read when a check fails.
func quietKlog() {
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	flags.Set("logtostderr", "true")
	flags.Set("v", os.Getenv("KLOG_V"))
}
