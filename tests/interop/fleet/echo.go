// A service of Go Kratos that registers itself, as one of a fleet behind a gateway.
//
//	echo ADDRESS NAMESPACE NAME ID
//
// It does what fleet_service.py of tests/e2e does: the methods of kratos.testing.Echo over gRPC and
// HTTP, its id at /fleet/who, which takes three seconds after a signal USR1. Prints "serving" when
// it is registered.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-kratos/kratos/v3"
	"github.com/go-kratos/kratos/v3/registry"
	"github.com/go-kratos/kratos/v3/transport/grpc"
	"github.com/go-kratos/kratos/v3/transport/http"
	rpc "google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const slow = 3 * time.Second

type text = wrapperspb.StringValue

type both interface {
	registry.Registrar
	registry.Discovery
}

// messages is what streams of gRPC and of HTTP have in common.
type messages interface {
	SendMsg(any) error
	RecvMsg(any) error
}

func main() {
	address, namespace, name, id := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	var slowed atomic.Bool
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	go func() {
		<-told
		slowed.Store(true)
	}()

	overGRPC := grpc.NewServer(grpc.Address("127.0.0.1:0"), grpc.Timeout(0))
	overGRPC.RegisterService(description(), nil)
	overHTTP := http.NewServer(http.Address("127.0.0.1:0"), http.Timeout(0))
	r := overHTTP.Route("/")
	r.GET("/fleet/who", func(ctx http.Context) error {
		if slowed.Load() {
			time.Sleep(slow)
		}
		return ctx.String(200, id)
	})
	route(r)
	app := kratos.New(
		kratos.ID(id),
		kratos.Name(name),
		kratos.Server(overGRPC, overHTTP),
		kratos.Registrar(open(address, namespace)),
		kratos.AfterStart(func(context.Context) error {
			fmt.Println("serving")
			return nil
		}),
	)
	check(app.Run())
}

// route binds the methods to HTTP in the way that Go Kratos' generated code does.
func route(r *http.Router) {
	r.POST("/kratos.testing/echo", func(ctx http.Context) error {
		in := &text{}
		if err := ctx.Bind(in); err != nil {
			return err
		}
		return ctx.Result(200, in)
	})
	r.POST("/kratos.testing/watch", func(ctx http.Context) error {
		in := &text{}
		if err := ctx.Bind(in); err != nil {
			return err
		}
		stream := http.NewServerSentEventServerStream(ctx)
		return stream.Close(watch(in, stream.Send))
	})
	r.GET("/kratos.testing/collect", overSocket(func(stream http.ServerStream) error {
		return collect(socket{stream}, stream.SendAndClose)
	}))
	r.GET("/kratos.testing/chat", overSocket(func(stream http.ServerStream) error {
		return chat(socket{stream})
	}))
}

func overSocket(do func(http.ServerStream) error) http.HandlerFunc {
	return func(ctx http.Context) error {
		stream, err := http.NewWebSocketServerStream(ctx)
		if err != nil {
			return err
		}
		return stream.Close(do(stream))
	}
}

type socket struct{ http.ServerStream }

func (s socket) SendMsg(m any) error { return s.Send(m) }
func (s socket) RecvMsg(m any) error { return s.Recv(m) }

func watch(in *text, send func(any) error) error {
	for _, word := range strings.Fields(in.Value) {
		if err := send(wrapperspb.String(word)); err != nil {
			return err
		}
	}
	return nil
}

func collect(stream messages, answer func(any) error) error {
	var words []string
	for {
		in := &text{}
		if err := stream.RecvMsg(in); err == io.EOF {
			return answer(wrapperspb.String(strings.Join(words, " ")))
		} else if err != nil {
			return err
		}
		words = append(words, in.Value)
	}
}

func chat(stream messages) error {
	for {
		in := &text{}
		if err := stream.RecvMsg(in); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(in); err != nil {
			return err
		}
	}
}

func description() *rpc.ServiceDesc {
	return &rpc.ServiceDesc{
		ServiceName: "kratos.testing.Echo",
		HandlerType: (*any)(nil),
		Methods: []rpc.MethodDesc{{
			MethodName: "Echo",
			Handler: func(
				_ any, _ context.Context, read func(any) error, _ rpc.UnaryServerInterceptor,
			) (any, error) {
				in := &text{}
				return in, read(in)
			},
		}},
		Streams: []rpc.StreamDesc{
			{StreamName: "Watch", ServerStreams: true, Handler: func(_ any, stream rpc.ServerStream) error {
				in := &text{}
				if err := stream.RecvMsg(in); err != nil {
					return err
				}
				return watch(in, stream.SendMsg)
			}},
			{StreamName: "Collect", ClientStreams: true, Handler: func(_ any, stream rpc.ServerStream) error {
				return collect(stream, stream.SendMsg)
			}},
			{StreamName: "Chat", ClientStreams: true, ServerStreams: true, Handler: func(_ any, stream rpc.ServerStream) error {
				return chat(stream)
			}},
		},
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
