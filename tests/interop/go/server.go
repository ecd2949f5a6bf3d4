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
	r.POST("/interop/mirror", func(ctx http.Context) error {
		in := &api.Inner{}
		if err := ctx.Bind(in); err != nil {
			return err
		}
		return answer(ctx, "Mirror", in, svc.Mirror)
	})
	routeMore(r, svc)
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
