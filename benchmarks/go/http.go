package main

import (
	"context"
	nethttp "net/http"

	kratos "github.com/go-kratos/kratos/v3"
	"github.com/go-kratos/kratos/v3/middleware"
	"github.com/go-kratos/kratos/v3/transport/http"

	"kratos.bench/gokratos/api"
)

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

// serveHTTP serves the two requests of the HTTP benchmark with Go Kratos.
func serveHTTP(address string) error {
	server := http.NewServer(http.Address(address), http.Middleware(chain()...))
	server.Protocols = new(nethttp.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
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
	return kratos.New(kratos.Name("bench"), kratos.Server(server)).Run()
}
