// A peer in Go, on the client of Nacos that Go Kratos uses.
//
//	peer <host:port> <folder> register <group> <service> <ip:port>
//	peer <host:port> <folder> publish <group> <data id>
//	peer <host:port> <folder> follow <group> <data id>
//
// The first registers itself as Go Kratos does, and prints whom it finds each time that somebody
// comes or goes; it takes itself out at the end of its input. The second publishes each line of its
// input as a document, over the client of version 1 as well, each in turn. The third prints a document
// whenever it changes.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"

	"github.com/nacos-group/nacos-sdk-go/v2/clients"
	"github.com/nacos-group/nacos-sdk-go/v2/clients/config_client"
	"github.com/nacos-group/nacos-sdk-go/v2/common/constant"
	"github.com/nacos-group/nacos-sdk-go/v2/model"
	"github.com/nacos-group/nacos-sdk-go/v2/vo"

	old "github.com/nacos-group/nacos-sdk-go/clients"
	oldconfig "github.com/nacos-group/nacos-sdk-go/clients/config_client"
	oldconstant "github.com/nacos-group/nacos-sdk-go/common/constant"
	oldvo "github.com/nacos-group/nacos-sdk-go/vo"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func split(address string) (string, uint64) {
	host, text, err := net.SplitHostPort(address)
	check(err)
	port, err := strconv.ParseUint(text, 10, 16)
	check(err)
	return host, port
}

func param(address, folder string) vo.NacosClientParam {
	host, port := split(address)
	return vo.NacosClientParam{
		ClientConfig: constant.NewClientConfig(
			constant.WithTimeoutMs(3000),
			constant.WithNotLoadCacheAtStart(true),
			constant.WithLogDir(folder+"/log"),
			constant.WithCacheDir(folder+"/cache"),
			constant.WithLogLevel("error"),
		),
		ServerConfigs: []constant.ServerConfig{*constant.NewServerConfig(host, port)},
	}
}

func register(address, folder, group, name, at string) {
	client, err := clients.NewNamingClient(param(address, folder))
	check(err)
	ip, port := split(at)
	_, kind, _ := strings.Cut(name, ".")
	tell := func(found []model.Instance, err error) {
		check(err)
		var lines []string
		for _, one := range found {
			lines = append(lines, fmt.Sprintf("%s://%s:%d/%s", one.Metadata["kind"], one.Ip, one.Port, one.Metadata["version"]))
		}
		sort.Strings(lines)
		fmt.Println("found", strings.Join(lines, " "))
	}
	check(client.Subscribe(&vo.SubscribeParam{
		ServiceName: name, GroupName: group, Clusters: []string{"DEFAULT"}, SubscribeCallback: tell,
	}))
	_, err = client.RegisterInstance(vo.RegisterInstanceParam{
		Ip: ip, Port: port, ServiceName: name, GroupName: group, ClusterName: "DEFAULT",
		Weight: 100, Enable: true, Healthy: true, Ephemeral: true,
		Metadata: map[string]string{"kind": kind, "version": "go", "zone": "b"},
	})
	check(err)
	_, _ = os.Stdin.Read(make([]byte, 1))
	_, err = client.DeregisterInstance(vo.DeregisterInstanceParam{
		Ip: ip, Port: port, ServiceName: name, GroupName: group, Cluster: "DEFAULT", Ephemeral: true,
	})
	check(err)
}

func configs(address, folder string) (config_client.IConfigClient, oldconfig.IConfigClient) {
	fresh, err := clients.NewConfigClient(param(address, folder))
	check(err)
	host, port := split(address)
	aged, err := old.NewConfigClient(oldvo.NacosClientParam{
		ClientConfig: oldconstant.NewClientConfig(
			oldconstant.WithTimeoutMs(3000),
			oldconstant.WithNotLoadCacheAtStart(true),
			oldconstant.WithLogDir(folder+"/oldlog"),
			oldconstant.WithCacheDir(folder+"/oldcache"),
			oldconstant.WithLogLevel("error"),
		),
		ServerConfigs: []oldconstant.ServerConfig{*oldconstant.NewServerConfig(host, port)},
	})
	check(err)
	return fresh, aged
}

func publish(address, folder, group, id string) {
	fresh, aged := configs(address, folder)
	lines := bufio.NewScanner(os.Stdin)
	for even := true; lines.Scan(); even = !even {
		var err error
		if even {
			_, err = fresh.PublishConfig(vo.ConfigParam{DataId: id, Group: group, Content: lines.Text()})
		} else {
			_, err = aged.PublishConfig(oldvo.ConfigParam{DataId: id, Group: group, Content: lines.Text()})
		}
		check(err)
	}
}

func follow(address, folder, group, id string) {
	_, aged := configs(address, folder)
	content, err := aged.GetConfig(oldvo.ConfigParam{DataId: id, Group: group})
	check(err)
	fmt.Println("content", content)
	check(aged.ListenConfig(oldvo.ConfigParam{
		DataId: id, Group: group,
		OnChange: func(_, _, _, content string) { fmt.Println("content", content) },
	}))
	_, _ = os.Stdin.Read(make([]byte, 1))
}

func main() {
	address, folder, group, name := os.Args[1], os.Args[2], os.Args[4], os.Args[5]
	switch os.Args[3] {
	case "register":
		register(address, folder, group, name, os.Args[6])
	case "publish":
		publish(address, folder, group, name)
	case "follow":
		follow(address, folder, group, name)
	}
}
