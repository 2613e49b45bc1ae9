// Agents: the module's own, in this process, on connections that can be cut; and one by hand, which does what it is told.
package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"sigs.k8s.io/apiserver-network-proxy/konnectivity-client/proto/client"
	stock "sigs.k8s.io/apiserver-network-proxy/pkg/agent"
	"sigs.k8s.io/apiserver-network-proxy/pkg/util"
	agentproto "sigs.k8s.io/apiserver-network-proxy/proto/agent"
	"sigs.k8s.io/apiserver-network-proxy/proto/header"
)

// links are the TCP connections of an agent.
type links struct {
	mutex sync.Mutex
	all   []net.Conn
}

func (l *links) dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err == nil {
		l.mutex.Lock()
		l.all = append(l.all, c)
		l.mutex.Unlock()
	}
	return c, err
}

// cut resets them all, as the end of a process or of a node does.
func (l *links) cut() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, c := range l.all {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	l.all = nil
}

// agent is the module's client set with the intervals of its own tests.
type agent struct {
	links
	set         *stock.ClientSet
	drain, over chan struct{}
	once        sync.Once
}

func (p *pki) agentCredentials(protocols ...string) (grpc.DialOption, error) {
	config, err := util.GetClientTLSConfig(p.ca, p.clientCert, p.clientKey, "127.0.0.1", protocols)
	if err != nil {
		return nil, err
	}
	return grpc.WithTransportCredentials(credentials.NewTLS(config)), nil
}

func startAgent(p *pki, address, id, identifiers string, protocols ...string) (*agent, error) {
	secure, err := p.agentCredentials(protocols...)
	if err != nil {
		return nil, err
	}
	a := &agent{drain: make(chan struct{}), over: make(chan struct{})}
	config := stock.ClientSetConfig{Address: address, AgentID: id, AgentIdentifiers: identifiers, SyncInterval: 100 * time.Millisecond,
		ProbeInterval: 100 * time.Millisecond, SyncIntervalCap: time.Second, XfrChannelSize: 150,
		DialOptions: []grpc.DialOption{secure, grpc.WithContextDialer(a.dial)}}
	a.set = config.NewAgentClientSet(a.drain, a.over)
	a.set.SetServerCounter(stock.NewAggregateServerCounter(nil, stock.NewResponseBasedCounter(a.set), "default"))
	a.set.Serve()
	return a, nil
}

func (a *agent) stop() { a.once.Do(func() { close(a.over) }) }

// die ends it as the end of its process would.
func (a *agent) die() {
	a.stop()
	a.cut()
}

// agentMetric sums up a family of the module's agent metrics, which all agents of this process share.
func agentMetric(name, label string) float64 {
	families, _ := prometheus.DefaultGatherer.Gather()
	sum := 0.0
	for _, f := range families {
		if f.GetName() != "konnectivity_network_proxy_agent_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			if label != "" && (len(m.GetLabel()) == 0 || m.GetLabel()[0].GetValue() != label) {
				continue
			}
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return sum
}

// rawAgent says hello like an agent and leaves the rest to its owner.
type rawAgent struct {
	links
	agentproto.AgentService_ConnectClient
	connection *grpc.ClientConn
	sending    sync.Mutex
	close      context.CancelFunc
}

// connectRaw returns when the server has answered, or with the status it ended the stream with.
func connectRaw(ctx context.Context, p *pki, address string, pairs ...string) (*rawAgent, error) {
	secure, err := p.agentCredentials()
	if err != nil {
		return nil, err
	}
	a := &rawAgent{}
	if a.connection, err = grpc.NewClient("passthrough:///"+address, secure, grpc.WithContextDialer(a.dial),
		grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(64<<20))); err != nil {
		return nil, err
	}
	ctx, a.close = context.WithCancel(metadata.AppendToOutgoingContext(ctx, pairs...))
	a.AgentService_ConnectClient, err = agentproto.NewAgentServiceClient(a.connection).Connect(ctx)
	if err == nil {
		var said metadata.MD
		if said, err = a.Header(); err == nil {
			if len(said.Get(header.ServerID)) != 1 || len(said.Get(header.ServerCount)) != 1 {
				err = a.refusal(said)
			}
		}
	}
	if err != nil {
		a.end()
		return nil, err
	}
	return a, nil
}

// refusal is the status of a stream that ended without a server's name.
func (a *rawAgent) refusal(said metadata.MD) error {
	if _, err := a.Recv(); err != nil {
		return err
	}
	return fmt.Errorf("initial metadata: %v", said)
}

func (a *rawAgent) end() {
	a.close()
	a.connection.Close()
}

func (a *rawAgent) send(p *client.Packet) error {
	a.sending.Lock()
	defer a.sending.Unlock()
	return a.Send(p)
}

func (a *rawAgent) answer(random, id int64, text string) error {
	return a.send(&client.Packet{Type: client.PacketType_DIAL_RSP, Payload: &client.Packet_DialResponse{
		DialResponse: &client.DialResponse{Random: random, ConnectID: id, Error: text}}})
}

func (a *rawAgent) data(id int64, data []byte) error {
	return a.send(&client.Packet{Type: client.PacketType_DATA, Payload: &client.Packet_Data{Data: &client.Data{ConnectID: id, Data: data}}})
}

func (a *rawAgent) closed(id int64, text string) error {
	return a.send(&client.Packet{Type: client.PacketType_CLOSE_RSP, Payload: &client.Packet_CloseResponse{
		CloseResponse: &client.CloseResponse{ConnectID: id, Error: text}}})
}
