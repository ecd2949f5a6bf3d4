package main

import (
	"github.com/go-kratos/kratos/contrib/registry/consul/v2"
	"github.com/hashicorp/consul/api"
)

// open returns the registry that comes with Go Kratos 2; Consul has no namespaces.
func open(address, _ string) both {
	client, err := api.NewClient(&api.Config{Address: address})
	check(err)
	return consul.New(client, consul.WithHealthCheckInterval(1))
}
