//go:build never

// Package konnectivity names the two programs that bench/harness/prepare.py builds, so that `go mod tidy` keeps what
// they need.
package konnectivity

import (
	_ "sigs.k8s.io/apiserver-network-proxy/cmd/agent"
	_ "sigs.k8s.io/apiserver-network-proxy/cmd/server"
)
