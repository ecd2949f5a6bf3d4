package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	ggrpc "google.golang.org/grpc"
	grpcmd "google.golang.org/grpc/metadata"

	kratos "github.com/go-kratos/kratos/v3"
	"github.com/go-kratos/kratos/v3/errors"
	"github.com/go-kratos/kratos/v3/metadata"
	"github.com/go-kratos/kratos/v3/middleware"
	mmd "github.com/go-kratos/kratos/v3/middleware/metadata"
	"github.com/go-kratos/kratos/v3/middleware/recovery"
	"github.com/go-kratos/kratos/v3/transport"
	"github.com/go-kratos/kratos/v3/transport/grpc"

	api "kratos.test/interop/peerapi"
)

func serve(name string, limit time.Duration) error {
	guarded := []middleware.Middleware{recovery.Recovery(), guard, mmd.Server()}
	server := grpc.NewServer(
		grpc.Address("127.0.0.1:0"), grpc.Timeout(limit),
		grpc.Middleware(guarded...), grpc.StreamMiddleware(guarded...),
	)
	api.RegisterPeerServer(server, &service{name: name, ended: map[string]chan string{}})
	url, err := server.Endpoint()
	if err != nil {
		return err
	}
	app := kratos.New(
		kratos.Name(name), kratos.Server(server),
		kratos.AfterStart(func(context.Context) error {
			_, err := fmt.Println(url.Host)
			return err
		}),
	)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = app.Stop()
	}()
	return app.Run()
}

// guard refuses calls with a bad token. Around a stream Kratos runs it for each message.
func guard(next middleware.Handler) middleware.Handler {
	return func(ctx context.Context, req any) (any, error) {
		if tr, ok := transport.FromServerContext(ctx); ok && tr.RequestHeader().Get("x-token") == "bad" {
			return nil, errors.Unauthorized("BAD_TOKEN", "who is there").WithMetadata(map[string]string{"key": "value"})
		}
		return next(ctx, req)
	}
}

type service struct {
	api.UnimplementedPeerServer
	name string

	mu    sync.Mutex
	ended map[string]chan string
}

func (s *service) Single(ctx context.Context, in *api.Step) (*api.Seen, error) {
	if err := s.echo(ctx); err != nil {
		return nil, err
	}
	if in.Next != "" {
		return relay(ctx, in)
	}
	if err := s.take(ctx, in); err != nil {
		return nil, err
	}
	return s.seen(ctx), nil
}

func (s *service) Gather(stream ggrpc.ClientStreamingServer[api.Step, api.Seen]) error {
	if err := s.echo(stream.Context()); err != nil {
		return err
	}
	for {
		in, err := stream.Recv()
		if err == io.EOF {
			return stream.SendAndClose(s.seen(stream.Context()))
		}
		if err != nil {
			return err
		}
		if err := s.take(stream.Context(), in); err != nil {
			return err
		}
	}
}

func (s *service) Feed(in *api.Step, stream ggrpc.ServerStreamingServer[api.Seen]) error {
	if err := s.echo(stream.Context()); err != nil {
		return err
	}
	for range in.Replies {
		if err := stream.Send(s.seen(stream.Context())); err != nil {
			return err
		}
	}
	return s.take(stream.Context(), in)
}

func (s *service) Talk(stream ggrpc.BidiStreamingServer[api.Step, api.Seen]) error {
	if err := s.echo(stream.Context()); err != nil {
		return err
	}
	for {
		in, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.take(stream.Context(), in); err != nil {
			return err
		}
		if err := stream.Send(s.seen(stream.Context())); err != nil {
			return err
		}
	}
}

func (s *service) Ended(ctx context.Context, in *api.EndedRequest) (*api.EndedReply, error) {
	select {
	case by := <-s.ending(in.Name):
		return &api.EndedReply{By: by}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// echo sends headers of the request back, as headers and as trailers.
func (s *service) echo(ctx context.Context) error {
	md, _ := grpcmd.FromIncomingContext(ctx)
	header, trailer := grpcmd.Pairs("x-server", s.name), grpcmd.MD{}
	header.Append("x-many", md.Get("x-many")...)
	trailer.Append("x-many-trailer", md.Get("x-many")...)
	trailer.Append("x-raw-bin", md.Get("x-raw-bin")...)
	if err := ggrpc.SetHeader(ctx, header); err != nil {
		return err
	}
	return ggrpc.SetTrailer(ctx, trailer)
}

func (s *service) take(ctx context.Context, in *api.Step) error {
	if in.Hang {
		s.ending(in.Name + " hangs") <- "yet"
		<-ctx.Done()
		by := "cancelled"
		if ctx.Err() == context.DeadlineExceeded {
			by = "deadline"
		}
		s.ending(in.Name) <- by
		return ctx.Err()
	}
	if in.Fail != 0 {
		return errors.New(int(in.Fail), "A_REASON", "a message").WithMetadata(map[string]string{"key": "value"})
	}
	return nil
}

// ending returns where the end of a call is put down.
func (s *service) ending(name string) chan string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended[name] == nil {
		s.ended[name] = make(chan string, 1)
	}
	return s.ended[name]
}

func (s *service) seen(ctx context.Context) *api.Seen {
	md, _ := grpcmd.FromIncomingContext(ctx)
	found := &api.Seen{Server: s.name, Left: -1, Many: md.Get("x-many"), Passed: md.Get("x-passed"), Metadata: map[string]string{}}
	if raw := md.Get("x-raw-bin"); len(raw) > 0 {
		found.Raw = []byte(raw[0])
	}
	if deadline, ok := ctx.Deadline(); ok {
		found.Left = time.Until(deadline).Milliseconds()
	}
	if carried, ok := metadata.FromServerContext(ctx); ok {
		for key := range carried {
			found.Metadata[key] = carried.Get(key)
		}
	}
	return found
}

// relay gets the answer from the next service, as a service does that calls another.
func relay(ctx context.Context, in *api.Step) (*api.Seen, error) {
	conn, err := dial(in.Next)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return api.NewPeerClient(conn).Single(ctx, &api.Step{Name: in.Name, Fail: in.Fail, Hang: in.Hang})
}
