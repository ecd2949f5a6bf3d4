package main

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-kratos/kratos/v3/registry"
	"github.com/hashicorp/consul/api"
)

const (
	interval = time.Second
	wait     = 55 * time.Second
)

// open returns a registry with the services of Go Kratos 3, whose own one cannot be had as a module.
// Consul has no namespaces.
func open(address, _ string) both {
	client, err := api.NewClient(&api.Config{Address: address})
	check(err)
	return &inConsul{client, map[string]context.CancelFunc{}}
}

type inConsul struct {
	*api.Client
	beating map[string]context.CancelFunc
}

func (r *inConsul) Register(ctx context.Context, one *registry.ServiceInstance) error {
	service := &api.AgentServiceRegistration{
		ID:              one.ID,
		Name:            one.Name,
		Meta:            one.Metadata,
		Tags:            []string{"version=" + one.Version},
		TaggedAddresses: map[string]api.ServiceAddress{},
	}
	for _, endpoint := range one.Endpoints {
		parts, err := url.Parse(endpoint)
		if err != nil {
			return err
		}
		port, err := strconv.Atoi(parts.Port())
		if err != nil {
			return err
		}
		service.TaggedAddresses[parts.Scheme] = api.ServiceAddress{Address: endpoint, Port: port}
		if service.Address == "" {
			service.Address, service.Port = parts.Hostname(), port
		}
		service.Checks = append(service.Checks, &api.AgentServiceCheck{
			TCP:                            net.JoinHostPort(parts.Hostname(), parts.Port()),
			Interval:                       "1s",
			Timeout:                        "5s",
			DeregisterCriticalServiceAfter: "600s",
		})
	}
	beat := "service:" + one.ID
	service.Checks = append(service.Checks, &api.AgentServiceCheck{
		CheckID:                        beat,
		TTL:                            (2 * interval).String(),
		DeregisterCriticalServiceAfter: "600s",
	})
	options := api.ServiceRegisterOpts{}.WithContext(ctx)
	if err := r.Agent().ServiceRegisterOpts(service, options); err != nil {
		return err
	}
	living, stop := context.WithCancel(context.Background())
	r.beating[one.ID] = stop
	go func() {
		for living.Err() == nil {
			// What has been lost is found out by the test, which waits for this instance.
			_ = r.Agent().UpdateTTL(beat, "pass", "pass")
			select {
			case <-living.Done():
			case <-time.After(interval):
			}
		}
	}()
	return nil
}

func (r *inConsul) Deregister(ctx context.Context, one *registry.ServiceInstance) error {
	r.beating[one.ID]()
	options := new(api.QueryOptions).WithContext(ctx)
	err := r.Agent().ServiceDeregisterOpts(one.ID, options)
	var status api.StatusError
	if errors.As(err, &status) && status.Code == 404 {
		return nil
	}
	return err
}

func (r *inConsul) GetService(
	ctx context.Context, name string,
) ([]*registry.ServiceInstance, error) {
	found, _, err := r.passing(ctx, name, 0)
	return found, err
}

func (r *inConsul) passing(
	ctx context.Context, name string, index uint64,
) ([]*registry.ServiceInstance, uint64, error) {
	options := (&api.QueryOptions{WaitIndex: index, WaitTime: wait}).WithContext(ctx)
	entries, meta, err := r.Health().Service(name, "", true, options)
	if err != nil {
		return nil, 0, err
	}
	var found []*registry.ServiceInstance
	for _, entry := range entries {
		one := &registry.ServiceInstance{
			ID:       entry.Service.ID,
			Name:     entry.Service.Service,
			Metadata: entry.Service.Meta,
		}
		for _, tag := range entry.Service.Tags {
			if version, ok := strings.CutPrefix(tag, "version="); ok {
				one.Version = version
			}
		}
		for scheme, address := range entry.Service.TaggedAddresses {
			if !strings.HasPrefix(scheme, "lan_ipv") && !strings.HasPrefix(scheme, "wan_ipv") {
				one.Endpoints = append(one.Endpoints, address.Address)
			}
		}
		found = append(found, one)
	}
	return found, meta.LastIndex, nil
}

func (r *inConsul) Watch(ctx context.Context, name string) (registry.Watcher, error) {
	living, stop := context.WithCancel(ctx)
	return &consulWatcher{inConsul: r, name: name, ctx: living, cancel: stop}, nil
}

type consulWatcher struct {
	*inConsul
	name   string
	ctx    context.Context
	cancel context.CancelFunc
	index  uint64
}

func (w *consulWatcher) Next() ([]*registry.ServiceInstance, error) {
	for {
		found, index, err := w.passing(w.ctx, w.name, w.index)
		if err != nil {
			if w.ctx.Err() != nil {
				return nil, w.ctx.Err()
			}
			return nil, err
		}
		changed := index != w.index
		w.index = index
		if changed {
			return found, nil
		}
	}
}

func (w *consulWatcher) Stop() error {
	w.cancel()
	return nil
}
