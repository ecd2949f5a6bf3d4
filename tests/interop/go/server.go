package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	kratos "github.com/go-kratos/kratos/v3"
	mmd "github.com/go-kratos/kratos/v3/middleware/metadata"
	"github.com/go-kratos/kratos/v3/middleware/recovery"
	"github.com/go-kratos/kratos/v3/transport/grpc"
	"github.com/go-kratos/kratos/v3/transport/http"

	"kratos.test/interop/api"
)

const prefix = "/interop.v1.Interop/"

// serve offers the service over HTTP and gRPC on loopback ports of the system's choice.
func serve() error {
	hs := http.NewServer(http.Address("127.0.0.1:0"), http.Middleware(recovery.Recovery(), mmd.Server()))
	gs := grpc.NewServer(grpc.Address("127.0.0.1:0"), grpc.Middleware(recovery.Recovery(), mmd.Server()))
	svc := service{}
	api.RegisterInteropServer(gs, svc)
	route(hs, svc)

	httpURL, err := hs.Endpoint()
	if err != nil {
		return err
	}
	grpcURL, err := gs.Endpoint()
	if err != nil {
		return err
	}
	app := kratos.New(
		kratos.Name("interop"), kratos.Server(hs, gs),
		kratos.AfterStart(func(context.Context) error {
			return json.NewEncoder(os.Stdout).Encode(map[string]string{
				"http": httpURL.Host, "grpc": grpcURL.Host,
			})
		}),
	)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		if err := app.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	return app.Run()
}

// route binds the service to HTTP in the way that Go Kratos' generated code does.
func route(hs *http.Server, svc service) {
	r := hs.Route("/")
	r.POST("/interop/echo", func(ctx http.Context) error {
		in := &api.AllKinds{}
		if err := ctx.Bind(in); err != nil {
			return err
		}
		return answer(ctx, "Echo", in, svc.Echo)
	})
	r.GET("/interop/shelves/{shelf}/books/{book.title}", func(ctx http.Context) error {
		in := &api.FindRequest{}
		if err := bindURL(ctx, in); err != nil {
			return err
		}
		return answer(ctx, "Find", in, svc.Find)
	})
	r.GET("/interop/fail/{code}", func(ctx http.Context) error {
		in := &api.FailRequest{}
		if err := bindURL(ctx, in); err != nil {
			return err
		}
		return answer(ctx, "Fail", in, svc.Fail)
	})
	r.GET("/interop/meta", func(ctx http.Context) error {
		return answer(ctx, "Meta", &api.MetaRequest{}, svc.Meta)
	})
	r.GET("/interop/watch/{title}", func(ctx http.Context) error {
		in := &api.WatchRequest{}
		if err := bindURL(ctx, in); err != nil {
			return err
		}
		stream := http.NewServerSentEventServerStream(ctx)
		return streamed(ctx, "Watch", in, stream, func() error {
			return svc.Watch(in, streamOf[api.WatchRequest, api.Inner]{stream})
		})
	})
	r.GET("/interop/collect", func(ctx http.Context) error {
		stream, err := http.NewWebSocketServerStream(ctx)
		if err != nil {
			return err
		}
		return streamed(ctx, "Collect", nil, stream, func() error {
			return svc.Collect(streamOf[api.Inner, api.Inner]{stream})
		})
	})
	r.GET("/interop/rooms/{room}/chat", func(ctx http.Context) error {
		stream, err := http.NewWebSocketServerStream(ctx, http.WithStreamBodyField("inner"))
		if err != nil {
			return err
		}
		return streamed(ctx, "Chat", nil, stream, func() error {
			return svc.Chat(streamOf[api.ChatRequest, api.ChatRequest]{stream})
		})
	})
}

// streamed runs the middleware around a whole stream, as generated code does.
func streamed(ctx http.Context, name string, in any, stream http.ServerStream, do func() error) error {
	http.SetOperation(ctx, prefix+name)
	handler := ctx.Middleware(func(ctx context.Context, _ any) (any, error) {
		stream.SetContext(ctx)
		return nil, do()
	})
	_, err := handler(ctx, in)
	return stream.Close(err)
}

// streamOf gives an HTTP stream the types that gRPC's streams have.
type streamOf[Q, R any] struct{ http.ServerStream }

func (s streamOf[Q, R]) Send(m *R) error         { return s.ServerStream.Send(m) }
func (s streamOf[Q, R]) SendAndClose(m *R) error { return s.ServerStream.SendAndClose(m) }
func (s streamOf[Q, R]) Recv() (*Q, error) {
	m := new(Q)
	return m, s.ServerStream.Recv(m)
}

func bindURL(ctx http.Context, in any) error {
	if err := ctx.BindQuery(in); err != nil {
		return err
	}
	return ctx.BindVars(in)
}

func answer[Q, R any](ctx http.Context, name string, in *Q, do func(context.Context, *Q) (*R, error)) error {
	http.SetOperation(ctx, prefix+name)
	handler := ctx.Middleware(func(ctx context.Context, req any) (any, error) {
		return do(ctx, req.(*Q))
	})
	out, err := handler(ctx, in)
	if err != nil {
		return err
	}
	return ctx.Result(200, out)
}
