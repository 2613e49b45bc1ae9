// selector: kube-apiserver's own egress selector, from its own configuration file.
package main

import (
	"fmt"

	"k8s.io/apiserver/pkg/server/egressselector"
)

// clusterDialer reads and checks the file exactly as kube-apiserver does at start.
func clusterDialer(file string) (dialFunc, error) {
	config, err := egressselector.ReadEgressSelectorConfiguration(file)
	if err != nil {
		return nil, err
	}
	if errs := egressselector.ValidateEgressSelectorConfiguration(config); len(errs) > 0 {
		return nil, fmt.Errorf("%s: %w", file, errs.ToAggregate())
	}
	selector, err := egressselector.NewEgressSelector(config)
	if err != nil {
		return nil, err
	}
	if selector == nil {
		return nil, fmt.Errorf("%s: selects nothing", file)
	}
	dial, err := selector.Lookup(egressselector.Cluster.AsNetworkContext())
	if err != nil {
		return nil, err
	}
	if dial == nil {
		return nil, fmt.Errorf("%s: no egress for cluster", file)
	}
	return dialFunc(dial), nil
}
