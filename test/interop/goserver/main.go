// goserver is both ends that Hawser meets in a cluster, as Go makes them: a server like a kubelet's (crypto/tls, client
// certificate required, session tickets with a key that rotates) and a client like kube-apiserver's (net/http).
package main

import (
	"fmt"
	"os"
)

// h2 is added where the Go is new enough.
var commands = map[string]func([]string) error{"serve": serve, "client": client}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: goserver serve|client|h2 [-help]")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "goserver:", err)
		os.Exit(1)
	}
}
