// selector: kube-apiserver's own egress selector, from its own configuration file.
package main

import (
	"context"
	"fmt"
	"net"

	"k8s.io/apiserver/pkg/server/egressselector"
)

func runSelector(w *way) error {
	config, err := egressselector.ReadEgressSelectorConfiguration(w.egress)
	if err != nil {
		return err
	}
	if errs := egressselector.ValidateEgressSelectorConfiguration(config); len(errs) > 0 {
		return fmt.Errorf("%s: %w", w.egress, errs.ToAggregate())
	}
	selector, err := egressselector.NewEgressSelector(config)
	if err != nil {
		return err
	}
	dial, err := selector.Lookup(egressselector.Cluster.AsNetworkContext())
	if err != nil {
		return err
	}
	if dial == nil {
		return fmt.Errorf("%s: no egress for cluster", w.egress)
	}
	var r report
	err = checks(&r, w, func(ctx context.Context, address string) (net.Conn, error) { return dial(ctx, "tcp", address) })
	if err != nil {
		return err
	}
	return r.end()
}
