package main

import (
	"time"

	"github.com/go-kratos/kratos/contrib/registry/etcd/v2"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// open returns the registry that comes with Go Kratos 2.
func open(address, namespace string) both {
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   []string{address},
		DialTimeout: 5 * time.Second,
	})
	check(err)
	return etcd.New(client, etcd.Namespace(namespace), etcd.RegisterTTL(3*time.Second))
}
