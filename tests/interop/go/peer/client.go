package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	ggrpc "google.golang.org/grpc"
	grpcmd "google.golang.org/grpc/metadata"

	"github.com/go-kratos/kratos/v3/errors"
	"github.com/go-kratos/kratos/v3/metadata"
	"github.com/go-kratos/kratos/v3/middleware"
	mmd "github.com/go-kratos/kratos/v3/middleware/metadata"
	"github.com/go-kratos/kratos/v3/transport"
	"github.com/go-kratos/kratos/v3/transport/grpc"

	api "kratos.test/interop/peerapi"
)

const patience = 60 * time.Second

func dial(target string) (*ggrpc.ClientConn, error) {
	return grpc.NewClient(context.Background(),
		grpc.WithEndpoint(target), grpc.WithTimeout(patience), grpc.WithMiddleware(mmd.Client(), passes))
}

// passes leaves a mark in the header of the request.
func passes(next middleware.Handler) middleware.Handler {
	return func(ctx context.Context, req any) (any, error) {
		if tr, ok := transport.FromClientContext(ctx); ok {
			tr.RequestHeader().Set("x-passed", "go")
		}
		return next(ctx, req)
	}
}

// arity makes a call: it sends steps and returns what came of them.
type arity struct {
	name string
	// make sends the steps; then it waits for the end.
	make func(ctx context.Context, c api.PeerClient, steps []*api.Step, opts ...ggrpc.CallOption) ([]*api.Seen, error)
}

var arities = []arity{{"single", single}, {"gather", gather}, {"feed", feed}, {"talk", talk}}

func single(ctx context.Context, c api.PeerClient, steps []*api.Step, opts ...ggrpc.CallOption) ([]*api.Seen, error) {
	seen, err := c.Single(ctx, steps[len(steps)-1], opts...)
	return []*api.Seen{seen}, err
}

func gather(ctx context.Context, c api.PeerClient, steps []*api.Step, opts ...ggrpc.CallOption) ([]*api.Seen, error) {
	stream, err := c.Gather(ctx, opts...)
	if err != nil {
		return nil, err
	}
	for _, step := range steps {
		if err := stream.Send(step); err != nil && err != io.EOF {
			return nil, err
		}
	}
	seen, err := stream.CloseAndRecv()
	return []*api.Seen{seen}, err
}

// feed asks for one reply before the last step, for each step.
func feed(ctx context.Context, c api.PeerClient, steps []*api.Step, opts ...ggrpc.CallOption) ([]*api.Seen, error) {
	last := steps[len(steps)-1]
	last.Replies = int32(len(steps) - 1)
	if last.Fail == 0 && !last.Hang {
		last.Replies++
	}
	stream, err := c.Feed(ctx, last, opts...)
	if err != nil {
		return nil, err
	}
	return receive(stream)
}

func talk(ctx context.Context, c api.PeerClient, steps []*api.Step, opts ...ggrpc.CallOption) ([]*api.Seen, error) {
	stream, err := c.Talk(ctx, opts...)
	if err != nil {
		return nil, err
	}
	for _, step := range steps {
		if err := stream.Send(step); err != nil && err != io.EOF {
			return nil, err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	return receive(stream)
}

func receive(stream ggrpc.ServerStreamingClient[api.Seen]) ([]*api.Seen, error) {
	var all []*api.Seen
	for {
		seen, err := stream.Recv()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, seen)
	}
}

// call runs every check against a service, which next is another one of.
func call(target, next string) error {
	conn, err := dial(target)
	if err != nil {
		return err
	}
	defer conn.Close()
	c := api.NewPeerClient(conn)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, a := range arities {
		tell(a.name+"_headers", a.headers(ctx, c))
		tell(a.name+"_metadata", a.metadata(ctx, c))
		tell(a.name+"_refused", a.refused(ctx, c))
		tell(a.name+"_fails_at_open", a.fails(ctx, c, &api.Step{Fail: 409}))
		if a.name != "single" {
			tell(a.name+"_fails_late", a.fails(ctx, c, &api.Step{}, &api.Step{Fail: 409}))
		}
		tell(a.name+"_deadline_seen", a.deadlineSeen(ctx, c))
		tell(a.name+"_cancelled", a.cancelled(ctx, c))
	}
	keepDeadlines(ctx, c)
	tell("relay", relayed(ctx, c, next))
	tell("relay_fails", told(relayFails(ctx, c, next)))
	return nil
}

func (a arity) headers(ctx context.Context, c api.PeerClient) error {
	ctx = grpcmd.AppendToOutgoingContext(ctx, "x-many", "one", "x-many", "two", "x-raw-bin", "\x00\xff")
	var header, trailer grpcmd.MD
	all, err := a.make(ctx, c, []*api.Step{{}}, ggrpc.Header(&header), ggrpc.Trailer(&trailer))
	if err != nil {
		return err
	}
	many := []string{"one", "two"}
	if len(all) != 1 || !slices.Equal(all[0].Many, many) || string(all[0].Raw) != "\x00\xff" {
		return fmt.Errorf("seen %v", all)
	}
	// Middleware of a Go client has no say in the header of a stream.
	if want := map[bool][]string{true: {"go"}, false: nil}[a.name == "single"]; !slices.Equal(all[0].Passed, want) {
		return fmt.Errorf("passed %v", all[0].Passed)
	}
	if !slices.Equal(header["x-many"], many) || len(header["x-server"]) != 1 {
		return fmt.Errorf("header %v", header)
	}
	if !slices.Equal(trailer["x-many-trailer"], many) || !slices.Equal(trailer["x-raw-bin"], []string{"\x00\xff"}) {
		return fmt.Errorf("trailer %v", trailer)
	}
	return nil
}

func (a arity) metadata(ctx context.Context, c api.PeerClient) error {
	if a.name == "single" {
		ctx = metadata.AppendToClientContext(ctx, "x-md-global-color", "red", "x-md-local-size", "xl", "other", "lost")
	} else {
		ctx = grpcmd.AppendToOutgoingContext(ctx, "x-md-global-color", "red", "x-md-local-size", "xl", "other", "lost")
	}
	all, err := a.make(ctx, c, []*api.Step{{}})
	if err != nil {
		return err
	}
	found := all[0].Metadata
	if len(found) != 2 || found["x-md-global-color"] != "red" || found["x-md-local-size"] != "xl" {
		return fmt.Errorf("metadata %v", found)
	}
	return nil
}

func (a arity) refused(ctx context.Context, c api.PeerClient) error {
	_, err := a.make(grpcmd.AppendToOutgoingContext(ctx, "x-token", "bad"), c, []*api.Step{{}})
	got := errors.FromError(err)
	if got == nil || got.Code != 401 || got.Reason != "BAD_TOKEN" || got.Metadata["key"] != "value" {
		return fmt.Errorf("got %v", err)
	}
	return nil
}

func (a arity) fails(ctx context.Context, c api.PeerClient, steps ...*api.Step) error {
	all, err := a.make(ctx, c, steps)
	if before := len(steps) - 1; a.name != "single" && a.name != "gather" && len(all) != before {
		return fmt.Errorf("%d replies before the failure, not %d", len(all), before)
	}
	return told(err)
}

func told(err error) error {
	got := errors.FromError(err)
	if got == nil || got.Code != 409 || got.Reason != "A_REASON" || got.Message != "a message" || got.Metadata["key"] != "value" {
		return fmt.Errorf("got %v", err)
	}
	return nil
}

func (a arity) deadlineSeen(ctx context.Context, c api.PeerClient) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	all, err := a.make(ctx, c, []*api.Step{{}})
	if err != nil {
		return err
	}
	if left := all[0].Left; left <= 0 || left > 30000 {
		return fmt.Errorf("%d ms left", left)
	}
	return nil
}

// keepDeadlines checks all arities at the same time, because each takes its time.
func keepDeadlines(ctx context.Context, c api.PeerClient) {
	results := make([]error, len(arities))
	var waiting sync.WaitGroup
	for i, a := range arities {
		waiting.Go(func() { results[i] = a.deadlineKept(ctx, c) })
	}
	waiting.Wait()
	for i, a := range arities {
		tell(a.name+"_deadline_kept", results[i])
	}
}

func (a arity) deadlineKept(ctx context.Context, c api.PeerClient) error {
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	name := a.name + "_deadline"
	_, err := a.make(short, c, []*api.Step{{Hang: true, Name: name}})
	if !errors.IsGatewayTimeout(errors.FromError(err)) {
		return fmt.Errorf("got %v", err)
	}
	// Whichever comes first: its own clock, or the news of the client's.
	_, err = c.Ended(ctx, &api.EndedRequest{Name: name})
	return err
}

func (a arity) cancelled(ctx context.Context, c api.PeerClient) error {
	leaving, leave := context.WithCancel(ctx)
	name := a.name + "_cancel"
	failed := make(chan error, 1)
	go func() {
		_, err := a.make(leaving, c, []*api.Step{{Hang: true, Name: name}})
		failed <- err
	}()
	if _, err := c.Ended(ctx, &api.EndedRequest{Name: name + " hangs"}); err != nil {
		return err
	}
	leave()
	if err := <-failed; !errors.IsClientClosed(errors.FromError(err)) {
		return fmt.Errorf("got %v", err)
	}
	end, err := c.Ended(ctx, &api.EndedRequest{Name: name})
	if err == nil && end.By != "cancelled" {
		err = fmt.Errorf("ended by %s", end.By)
	}
	return err
}

// relayed checks what gets through a service to the next one.
func relayed(ctx context.Context, c api.PeerClient, next string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ctx = metadata.AppendToClientContext(ctx, "x-md-global-color", "red", "x-md-local-size", "xl")
	seen, err := c.Single(ctx, &api.Step{Next: next})
	if err != nil {
		return err
	}
	if len(seen.Metadata) != 1 || seen.Metadata["x-md-global-color"] != "red" {
		return fmt.Errorf("metadata %v", seen.Metadata)
	}
	if seen.Left <= 0 || seen.Left > 30000 {
		return fmt.Errorf("%d ms left", seen.Left)
	}
	return nil
}

func relayFails(ctx context.Context, c api.PeerClient, next string) error {
	_, err := c.Single(ctx, &api.Step{Next: next, Fail: 409})
	return err
}

// limited checks that a service cuts off a call by its own time limit.
func limited(target string) error {
	conn, err := dial(target)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err = api.NewPeerClient(conn).Single(ctx, &api.Step{Hang: true})
	if got := errors.FromError(err); got == nil || got.Code != 504 || got.Reason != "DEADLINE_EXCEEDED" {
		tell("limit", fmt.Errorf("got %v", err))
	} else {
		tell("limit", nil)
	}
	return nil
}

// spread calls until each of two services has answered, and from then on so many times more.
func spread(target string, count int) error {
	conn, err := dial(target)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := api.NewPeerClient(conn)
	met := map[string]bool{}
	var servers []string
	for len(servers) < count {
		seen, err := c.Single(ctx, &api.Step{})
		if err != nil {
			return err
		}
		if len(met) == 2 {
			servers = append(servers, seen.Server)
		}
		met[seen.Server] = true
	}
	return json.NewEncoder(os.Stdout).Encode(servers)
}
