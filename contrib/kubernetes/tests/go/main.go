// A peer in Go: it registers its pod with the registry of Go Kratos, and prints whom that finds each
// time that somebody comes, changes or goes.
//
//	peer <kubeconfig> <namespace> <service> <id> [<endpoint>...]
//
// Its pod is the one that HOSTNAME names, as everywhere in Go Kratos. It takes itself out at the end
// of its input.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"time"
	_ "unsafe" // for linkname

	kuberegistry "github.com/go-kratos/kratos/contrib/registry/kubernetes/v2"
	"github.com/go-kratos/kratos/v2/registry"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// What Go Kratos reads from a file that is there in pods alone.
//
//go:linkname ownNamespace github.com/go-kratos/kratos/contrib/registry/kubernetes/v2.currentNamespace
var ownNamespace string

const limit = 10 * time.Second

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func follow(watcher registry.Watcher) {
	for {
		found, err := watcher.Next()
		check(err)
		sort.Slice(found, func(i, j int) bool { return found[i].ID < found[j].ID })
		for _, one := range found {
			sort.Strings(one.Endpoints)
		}
		line, err := json.Marshal(found)
		check(err)
		fmt.Println(string(line))
	}
}

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	check(err)
	clients, err := kubernetes.NewForConfig(config)
	check(err)
	ownNamespace = os.Args[2]
	own := &registry.ServiceInstance{
		ID: os.Args[4], Name: os.Args[3], Version: "v1", Metadata: map[string]string{"by": "go"}, Endpoints: os.Args[5:],
	}
	reg := kuberegistry.NewRegistry(clients, ownNamespace)
	reg.Start()
	watcher, err := reg.Watch(context.Background(), own.Name)
	check(err)
	go follow(watcher)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	check(reg.Register(ctx, own))
	_, _ = os.Stdin.Read(make([]byte, 1))
	ctx, cancel = context.WithTimeout(context.Background(), limit)
	defer cancel()
	check(reg.Deregister(ctx, own))
	reg.Close()
}
