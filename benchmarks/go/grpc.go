package main

import (
	"context"
	"net"
	"os"
	"os/signal"
	"syscall"

	kratos "github.com/go-kratos/kratos/v3"
	transport "github.com/go-kratos/kratos/v3/transport/grpc"
	"google.golang.org/grpc"

	"kratos.bench/gokratos/api"
)

const (
	helloMethod = "/bench.Bench/Hello"
	countMethod = "/bench.Counter/Count"
)

// service is what generated code would have an interface for.
type service struct{}

// hello is the handler of one call, with whatever interceptors the server has.
func (service) hello(
	ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor,
) (any, error) {
	in := &api.HelloRequest{}
	if err := decode(in); err != nil {
		return nil, err
	}
	if interceptor == nil {
		return hello(ctx, in)
	}
	info := &grpc.UnaryServerInfo{FullMethod: helloMethod}
	return interceptor(ctx, in, info, hello)
}

// count sends as many small messages as it is asked for.
func (service) count(stream grpc.ServerStream) error {
	in := &api.CountRequest{}
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	for range in.Messages {
		if err := stream.SendMsg(&api.HelloReply{Message: "Hello " + in.Name}); err != nil {
			return err
		}
	}
	return nil
}

func register(server grpc.ServiceRegistrar) {
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Bench",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Hello",
			Handler: func(
				srv any, ctx context.Context, decode func(any) error, chain grpc.UnaryServerInterceptor,
			) (any, error) {
				return srv.(service).hello(ctx, decode, chain)
			},
		}},
	}, service{})
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Counter",
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName:    "Count",
			ServerStreams: true,
			Handler: func(srv any, stream grpc.ServerStream) error {
				return srv.(service).count(stream)
			},
		}},
	}, service{})
}

// serveGRPC serves with grpc-go alone.
func serveGRPC(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	register(server)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, server.Stop)
	return server.Serve(listener)
}

// serveKratosGRPC serves with Go Kratos; its chain is for unary calls.
func serveKratosGRPC(address string) error {
	server := transport.NewServer(transport.Address(address), transport.Middleware(chain()...))
	register(server)
	return kratos.New(kratos.Name("bench"), kratos.Server(server)).Run()
}
