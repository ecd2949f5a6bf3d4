package main

import (
	"context"

	"github.com/go-kratos/kratos/v3/transport/http"

	"kratos.test/interop/api"
)

// routeStreams binds the streams of the service in the way that Go Kratos' generated code does.
func routeStreams(r *http.Router, svc service) {
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
