package main

import (
	"context"
	"encoding/json"
	"errors"
	"path"
	"time"

	"github.com/go-kratos/kratos/v3/registry"
	"github.com/go-zookeeper/zk"
)

// open returns a registry with the nodes of Go Kratos 3, whose own one cannot be had as a module.
func open(address, root string) both {
	connection, _, err := zk.Connect([]string{address}, 2*time.Second, zk.WithLogger(silent{}))
	check(err)
	return &inZooKeeper{connection, root}
}

type silent struct{}

func (silent) Printf(string, ...any) {}

type inZooKeeper struct {
	*zk.Conn
	root string
}

func (r *inZooKeeper) node(one *registry.ServiceInstance) string {
	return path.Join(r.root, one.Name, one.ID)
}

func (r *inZooKeeper) Register(_ context.Context, one *registry.ServiceInstance) error {
	for _, node := range []string{r.root, path.Join(r.root, one.Name)} {
		_, err := r.Create(node, nil, 0, zk.WorldACL(zk.PermAll))
		if err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
	}
	data, err := json.Marshal(one)
	if err != nil {
		return err
	}
	exists, stat, err := r.Exists(r.node(one))
	if err != nil {
		return err
	}
	if exists {
		if err := r.Delete(r.node(one), stat.Version); err != nil {
			return err
		}
	}
	_, err = r.Create(r.node(one), data, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
	return err
}

func (r *inZooKeeper) Deregister(_ context.Context, one *registry.ServiceInstance) error {
	return r.Delete(r.node(one), -1)
}

func (r *inZooKeeper) GetService(_ context.Context, name string) ([]*registry.ServiceInstance, error) {
	names, _, err := r.Children(path.Join(r.root, name))
	if err != nil {
		return nil, err
	}
	return r.read(name, names)
}

func (r *inZooKeeper) read(name string, ids []string) ([]*registry.ServiceInstance, error) {
	var found []*registry.ServiceInstance
	for _, id := range ids {
		data, _, err := r.Get(path.Join(r.root, name, id))
		if errors.Is(err, zk.ErrNoNode) {
			continue
		}
		if err != nil {
			return nil, err
		}
		one := &registry.ServiceInstance{}
		if err := json.Unmarshal(data, one); err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, nil
}

func (r *inZooKeeper) Watch(ctx context.Context, name string) (registry.Watcher, error) {
	living, stop := context.WithCancel(ctx)
	return &zooKeeperWatcher{inZooKeeper: r, name: name, ctx: living, cancel: stop}, nil
}

type zooKeeperWatcher struct {
	*inZooKeeper
	name    string
	ctx     context.Context
	cancel  context.CancelFunc
	changes <-chan zk.Event
}

func (w *zooKeeperWatcher) Next() ([]*registry.ServiceInstance, error) {
	if w.changes != nil {
		select {
		case <-w.ctx.Done():
			return nil, w.ctx.Err()
		case event := <-w.changes:
			if event.Err != nil {
				w.changes = nil
				return nil, event.Err
			}
		}
	}
	ids, _, changes, err := w.ChildrenW(path.Join(w.root, w.name))
	w.changes = changes
	if errors.Is(err, zk.ErrNoNode) {
		// Nobody has registered yet; Kratos asks again a second later.
		w.changes = nil
	}
	if err != nil {
		return nil, err
	}
	return w.read(w.name, ids)
}

func (w *zooKeeperWatcher) Stop() error {
	w.cancel()
	return nil
}
