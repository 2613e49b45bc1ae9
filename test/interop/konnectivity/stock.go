// proxy-server and proxy-agent: the module's own programs, as its own main functions make them.
package main

import (
	"flag"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	agentapp "sigs.k8s.io/apiserver-network-proxy/cmd/agent/app"
	agentoptions "sigs.k8s.io/apiserver-network-proxy/cmd/agent/app/options"
	serverapp "sigs.k8s.io/apiserver-network-proxy/cmd/server/app"
	serveroptions "sigs.k8s.io/apiserver-network-proxy/cmd/server/app/options"
	"sigs.k8s.io/apiserver-network-proxy/pkg/util"
)

func runStockServer(arguments []string) error {
	options := serveroptions.NewProxyRunOptions()
	command := serverapp.NewProxyCommand(&serverapp.Proxy{}, options)
	command.Flags().AddFlagSet(options.Flags())
	return execute(command, arguments)
}

func runStockAgent(arguments []string) error {
	options := agentoptions.NewGrpcProxyAgentOptions()
	command := agentapp.NewAgentCommand(&agentapp.Agent{}, options)
	command.Flags().AddFlagSet(options.Flags())
	return execute(command, arguments)
}

func execute(command *cobra.Command, arguments []string) error {
	local := flag.NewFlagSet("klog", flag.ExitOnError)
	klog.InitFlags(local)
	if err := local.Set("v", "4"); err != nil {
		return fmt.Errorf("klog's flags: %w", err)
	}
	local.VisitAll(func(f *flag.Flag) {
		f.Name = util.Normalize(f.Name)
		command.Flags().AddGoFlag(f)
	})
	command.SetArgs(arguments)
	return command.Execute()
}
