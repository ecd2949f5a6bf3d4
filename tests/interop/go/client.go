package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/go-kratos/kratos/v3/errors"
	"github.com/go-kratos/kratos/v3/metadata"
	"github.com/go-kratos/kratos/v3/middleware"
	mmd "github.com/go-kratos/kratos/v3/middleware/metadata"
	"github.com/go-kratos/kratos/v3/transport/grpc"
	"github.com/go-kratos/kratos/v3/transport/http"

	"kratos.test/interop/api"
)

// caller reaches the service, whichever the transport.
type caller interface {
	echo(context.Context, *api.AllKinds) (*api.AllKinds, error)
	find(context.Context, *api.FindRequest) (*api.FindRequest, error)
	fail(context.Context, *api.FailRequest) error
	meta(context.Context) (map[string]string, error)
}

type check struct {
	Case   string `json:"case"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// call runs every check against a service and prints what came of it.
func call(kind, addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := connect(ctx, kind, addr)
	if err != nil {
		return err
	}
	run(ctx, c, codesOver(kind))
	if over, ok := c.(overHTTP); ok {
		runMore(ctx, over.client, addr)
	}
	return nil
}

func connect(ctx context.Context, kind, addr string) (caller, error) {
	chain := []middleware.Middleware{mmd.Client()}
	switch kind {
	case "http":
		client, err := http.NewClient(ctx, http.WithEndpoint(addr), http.WithMiddleware(chain...), http.WithTimeout(10*time.Second))
		return overHTTP{client}, err
	case "grpc":
		conn, err := dial(ctx, grpc.WithEndpoint(addr), grpc.WithMiddleware(chain...), grpc.WithTimeout(10*time.Second))
		return overGRPC{api.NewInteropClient(conn)}, err
	default:
		return nil, fmt.Errorf("unknown transport %q", kind)
	}
}

func run(ctx context.Context, c caller, codes []int32) {
	tell("echo", same(sample(), c.echo)(ctx))
	// A Value that is not set comes back as null from any JSON, Go's own included.
	tell("echo_empty", same(&api.AllKinds{Value: structpb.NewNullValue()}, c.echo)(ctx))
	tell("find", same(question(), c.find)(ctx))
	for _, code := range codes {
		tell(fmt.Sprintf("fail_%d", code), fails(ctx, c, code))
	}
	tell("meta", carries(ctx, c))
}

func tell(name string, err error) {
	result := check{Case: name, OK: err == nil}
	if err != nil {
		result.Detail = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		panic(err)
	}
}

func same[M proto.Message](want M, do func(context.Context, M) (M, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		got, err := do(ctx, want)
		if err != nil {
			return err
		}
		if !proto.Equal(want, got) {
			return fmt.Errorf("want %v\ngot %v", want, got)
		}
		return nil
	}
}

func fails(ctx context.Context, c caller, code int32) error {
	want := &api.FailRequest{
		Code: code, Reason: "A_REASON", Message: "a message",
		Metadata: map[string]string{"key": "value", "other": "ü"},
	}
	got := errors.FromError(c.fail(ctx, want))
	if got == nil {
		return fmt.Errorf("no error")
	}
	if got.Code != code || got.Reason != want.Reason || got.Message != want.Message {
		return fmt.Errorf("got %v", got)
	}
	if len(got.Metadata) != 2 || got.Metadata["key"] != "value" || got.Metadata["other"] != "ü" {
		return fmt.Errorf("metadata %v", got.Metadata)
	}
	return nil
}

func carries(ctx context.Context, c caller) error {
	ctx = metadata.AppendToClientContext(ctx, "x-md-global-color", "red", "x-md-local-size", "xl")
	got, err := c.meta(ctx)
	if err != nil {
		return err
	}
	if got["x-md-global-color"] != "red" || got["x-md-local-size"] != "xl" {
		return fmt.Errorf("got %v", got)
	}
	return nil
}

type overGRPC struct{ client api.InteropClient }

func (o overGRPC) echo(ctx context.Context, in *api.AllKinds) (*api.AllKinds, error) {
	return o.client.Echo(ctx, in)
}

func (o overGRPC) find(ctx context.Context, in *api.FindRequest) (*api.FindRequest, error) {
	return o.client.Find(ctx, in)
}

func (o overGRPC) fail(ctx context.Context, in *api.FailRequest) error {
	_, err := o.client.Fail(ctx, in)
	return err
}

func (o overGRPC) meta(ctx context.Context) (map[string]string, error) {
	reply, err := o.client.Meta(ctx, &api.MetaRequest{})
	return reply.GetMetadata(), err
}

// overHTTP calls in the way that Go Kratos' generated client does.
type overHTTP struct{ client *http.Client }

func (o overHTTP) get(ctx context.Context, name, pattern string, in proto.Message, out any) error {
	return o.client.Invoke(ctx, "GET", pathOf(pattern, in), nil, out, options(name, pattern, false)...)
}

func (o overHTTP) post(ctx context.Context, name, path string, in proto.Message, out any) error {
	return o.client.Invoke(ctx, "POST", path, in, out, options(name, path, true)...)
}

func (o overHTTP) echo(ctx context.Context, in *api.AllKinds) (*api.AllKinds, error) {
	out := &api.AllKinds{}
	err := o.post(ctx, "Echo", "/interop/echo", in, out)
	return out, err
}

func (o overHTTP) find(ctx context.Context, in *api.FindRequest) (*api.FindRequest, error) {
	out := &api.FindRequest{}
	// Go puts path variables in unescaped, so this client gets some that need none.
	in.Shelf, in.Book.Title = "first", "War-and-Peace"
	err := o.get(ctx, "Find", "/interop/shelves/{shelf}/books/{book.title}", in, out)
	return out, err
}

func (o overHTTP) fail(ctx context.Context, in *api.FailRequest) error {
	return o.get(ctx, "Fail", "/interop/fail/{code}", in, &api.AllKinds{})
}

func (o overHTTP) meta(ctx context.Context) (map[string]string, error) {
	out := &api.MetaReply{}
	err := o.get(ctx, "Meta", "/interop/meta", &api.MetaRequest{}, out)
	return out.GetMetadata(), err
}
