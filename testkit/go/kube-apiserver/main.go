// Command controlplane is the tests' real control plane: one process that runs
// etcd and the unmodified kube-apiserver, without containers or nodes.
//
// Every flag is kube-apiserver's own. --etcd-servers must name a free loopback
// port: the embedded etcd listens there and keeps its data in $CONTROLPLANE_DATA.
package main

import (
	"fmt"
	"net/url"
	"os"
	"strings"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

const etcdFlag = "--etcd-servers="

func main() {
	client, err := etcdURL(os.Args[1:])
	if err == nil && client != nil {
		err = startEtcd(*client, os.Getenv("CONTROLPLANE_DATA"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(1)
	}
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}

// etcdURL returns nil when no etcd is asked for (--help, --version).
func etcdURL(args []string) (*url.URL, error) {
	for _, arg := range args {
		if strings.HasPrefix(arg, etcdFlag) {
			return url.Parse(strings.TrimPrefix(arg, etcdFlag))
		}
	}
	return nil, nil
}

// startEtcd returns once etcd serves. It trades durability for speed: a test's
// cluster does not outlive its process.
func startEtcd(client url.URL, dataDir string) error {
	peer, err := url.Parse("http://127.0.0.1:0")
	if err != nil {
		return err
	}
	config := embed.NewConfig()
	config.Dir = dataDir
	config.LogLevel = "error"
	config.UnsafeNoFsync = true
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	<-etcd.Server.ReadyNotify()
	return nil
}
