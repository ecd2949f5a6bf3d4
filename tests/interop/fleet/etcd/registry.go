package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/go-kratos/kratos/v3/registry"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const ttl = 3 // seconds

// open returns a registry with the keys of Go Kratos 3, whose own one cannot be had as a module.
func open(address, namespace string) both {
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   []string{address},
		DialTimeout: 5 * time.Second,
	})
	check(err)
	return &inEtcd{client: client, namespace: namespace}
}

type inEtcd struct {
	client    *clientv3.Client
	namespace string
	stop      context.CancelFunc
}

func (r *inEtcd) prefix(name string) string { return r.namespace + "/" + name }

func (r *inEtcd) key(one *registry.ServiceInstance) string {
	return r.prefix(one.Name) + "/" + one.ID
}

func (r *inEtcd) Register(ctx context.Context, one *registry.ServiceInstance) error {
	value, err := json.Marshal(one)
	if err != nil {
		return err
	}
	lease, err := r.client.Grant(ctx, ttl)
	if err != nil {
		return err
	}
	if _, err := r.client.Put(ctx, r.key(one), string(value), clientv3.WithLease(lease.ID)); err != nil {
		return err
	}
	living, stop := context.WithCancel(context.Background())
	beats, err := r.client.KeepAlive(living, lease.ID)
	if err != nil {
		stop()
		return err
	}
	r.stop = stop
	go func() {
		for range beats {
		}
	}()
	return nil
}

func (r *inEtcd) Deregister(ctx context.Context, one *registry.ServiceInstance) error {
	r.stop()
	_, err := r.client.Delete(ctx, r.key(one))
	return err
}

func (r *inEtcd) GetService(ctx context.Context, name string) ([]*registry.ServiceInstance, error) {
	reply, err := r.client.Get(ctx, r.prefix(name), clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	var found []*registry.ServiceInstance
	for _, entry := range reply.Kvs {
		one := &registry.ServiceInstance{}
		if err := json.Unmarshal(entry.Value, one); err != nil {
			return nil, err
		}
		if one.Name == name {
			found = append(found, one)
		}
	}
	return found, nil
}

func (r *inEtcd) Watch(ctx context.Context, name string) (registry.Watcher, error) {
	living, stop := context.WithCancel(ctx)
	changes := r.client.Watch(living, r.prefix(name), clientv3.WithPrefix())
	return &etcdWatcher{inEtcd: r, name: name, ctx: living, cancel: stop, changes: changes}, nil
}

type etcdWatcher struct {
	*inEtcd
	name    string
	ctx     context.Context
	cancel  context.CancelFunc
	changes clientv3.WatchChan
	begun   bool
}

func (w *etcdWatcher) Next() ([]*registry.ServiceInstance, error) {
	if w.begun {
		select {
		case <-w.ctx.Done():
			return nil, w.ctx.Err()
		case change := <-w.changes:
			if err := change.Err(); err != nil {
				return nil, err
			}
		}
	}
	w.begun = true
	return w.GetService(w.ctx, w.name)
}

func (w *etcdWatcher) Stop() error {
	w.cancel()
	return nil
}
