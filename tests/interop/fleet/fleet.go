// A service of Go Kratos that registers itself, and calls all of its kind.
//
//	fleet ADDRESS NAMESPACE NAME ID
//
// It answers Who, over gRPC and HTTP, with its id. For each line on standard input it calls the
// service often enough to reach every instance, over both, and prints who answered. At the end of
// the input it stops as an application does.
//
// Each folder beside this file has a registry of its own, as a function open. For Go Kratos 2 the
// tests change the major version in the imports.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"log"
	"os"
	"sort"
	"time"

	"github.com/go-kratos/kratos/v3"
	"github.com/go-kratos/kratos/v3/registry"
	"github.com/go-kratos/kratos/v3/transport/grpc"
	"github.com/go-kratos/kratos/v3/transport/http"
	rpc "google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

const calls = 40

type calling func(context.Context, *structpb.Struct) error

type both interface {
	registry.Registrar
	registry.Discovery
}

func main() {
	address, namespace, name, id := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	found := open(address, namespace)
	self, err := structpb.NewStruct(map[string]any{"id": id})
	check(err)

	overGRPC := grpc.NewServer(grpc.Address("127.0.0.1:0"))
	overGRPC.RegisterService(description(), self)
	overHTTP := http.NewServer(http.Address("127.0.0.1:0"))
	overHTTP.Route("/").GET("/who", func(ctx http.Context) error { return ctx.Result(200, self) })
	registered := make(chan struct{})
	app := kratos.New(
		kratos.ID(id),
		kratos.Name(name),
		kratos.Version("go"),
		kratos.Metadata(map[string]string{"language": "go", "odd": "<&> größe"}),
		kratos.Server(overGRPC, overHTTP),
		kratos.Registrar(found),
		kratos.AfterStart(func(context.Context) error { close(registered); return nil }),
	)
	ended := make(chan error, 1)
	go func() { ended <- app.Run() }()
	select {
	case <-registered:
	case err := <-ended:
		log.Fatal("it could not start: ", err)
	}

	connection, err := grpc.NewClient(context.Background(),
		grpc.WithEndpoint("discovery:///"+name), grpc.WithDiscovery(found))
	check(err)
	caller, err := http.NewClient(context.Background(),
		http.WithEndpoint("discovery:///"+name), http.WithDiscovery(found), http.WithBlock())
	check(err)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		check(json.NewEncoder(os.Stdout).Encode(map[string][]string{
			"grpc": answered(func(ctx context.Context, reply *structpb.Struct) error {
				return connection.Invoke(ctx, "/fleet.Fleet/Who", &emptypb.Empty{}, reply)
			}),
			"http": answered(func(ctx context.Context, reply *structpb.Struct) error {
				return caller.Invoke(ctx, "GET", "/who", nil, reply)
			}),
		}))
	}
	check(app.Stop())
	check(<-ended)
}

// answered returns the ids of all who answered, and what went wrong among them.
func answered(call calling) []string {
	found := map[string]bool{}
	for range calls {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		reply := &structpb.Struct{}
		if err := call(ctx, reply); err != nil {
			found["error: "+err.Error()] = true
		} else {
			found[reply.Fields["id"].GetStringValue()] = true
		}
		cancel()
	}
	ids := []string{}
	for id := range found {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	return ids
}

func description() *rpc.ServiceDesc {
	return &rpc.ServiceDesc{
		ServiceName: "fleet.Fleet",
		HandlerType: (*any)(nil),
		Methods: []rpc.MethodDesc{{
			MethodName: "Who",
			Handler: func(
				self any, _ context.Context, read func(any) error, _ rpc.UnaryServerInterceptor,
			) (any, error) {
				return self, read(&emptypb.Empty{})
			},
		}},
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
