// Command gokratos serves the two requests of the HTTP benchmark with Go Kratos: gokratos HOST:PORT.
package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	kratos "github.com/go-kratos/kratos/v3"
	"github.com/go-kratos/kratos/v3/middleware"
	"github.com/go-kratos/kratos/v3/middleware/metadata"
	"github.com/go-kratos/kratos/v3/middleware/recovery"
	"github.com/go-kratos/kratos/v3/transport/http"

	"kratos.bench/gokratos/api"
)

var count, nanoseconds atomic.Int64

// timing adds up how long calls took, as the middleware of the other side does.
func timing(next middleware.Handler) middleware.Handler {
	return func(ctx context.Context, request any) (any, error) {
		start := time.Now()
		defer func() {
			count.Add(1)
			nanoseconds.Add(int64(time.Since(start)))
		}()
		return next(ctx, request)
	}
}

func hello(_ context.Context, request any) (any, error) {
	return &api.HelloReply{Message: "Hello " + request.(*api.HelloRequest).Name}, nil
}

func order(_ context.Context, request any) (any, error) {
	in := request.(*api.OrderRequest)
	total := 0.0
	for _, line := range in.Lines {
		total += float64(line.Quantity) * line.Price
	}
	return &api.OrderReply{Id: in.Customer, Total: total, Lines: in.Lines}, nil
}

// answer runs the middleware around a handler and writes its reply, as generated code does.
func answer(ctx http.Context, operation string, in any, handler middleware.Handler) error {
	http.SetOperation(ctx, operation)
	out, err := ctx.Middleware(handler)(ctx, in)
	if err != nil {
		return err
	}
	return ctx.Result(200, out)
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gokratos HOST:PORT")
		os.Exit(2)
	}
	server := http.NewServer(
		http.Address(os.Args[1]),
		http.Middleware(recovery.Recovery(), timing, metadata.Server()),
	)
	r := server.Route("/")
	r.GET("/hello/{name}", func(ctx http.Context) error {
		in := &api.HelloRequest{}
		if err := ctx.BindQuery(in); err != nil {
			return err
		}
		if err := ctx.BindVars(in); err != nil {
			return err
		}
		return answer(ctx, "/bench.Bench/Hello", in, hello)
	})
	r.POST("/orders", func(ctx http.Context) error {
		in := &api.OrderRequest{}
		if err := ctx.Bind(in); err != nil {
			return err
		}
		if err := ctx.BindQuery(in); err != nil {
			return err
		}
		return answer(ctx, "/bench.Bench/Order", in, order)
	})
	if err := kratos.New(kratos.Name("bench"), kratos.Server(server)).Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
