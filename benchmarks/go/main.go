// Command gokratos serves the requests of the benchmarks, and makes the load of gRPC:
//
//	gokratos http|grpc|grpc-kratos HOST:PORT
//	gokratos load unary|stream HOST:PORT IN-FLIGHT SECONDS
package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-kratos/kratos/v3/middleware"
	"github.com/go-kratos/kratos/v3/middleware/metadata"
	"github.com/go-kratos/kratos/v3/middleware/recovery"
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

// chain returns what all calls of Go Kratos pass.
func chain() []middleware.Middleware {
	return []middleware.Middleware{recovery.Recovery(), timing, metadata.Server()}
}

func run(arguments []string) error {
	servers := map[string]func(string) error{
		"http":        serveHTTP,
		"grpc":        serveGRPC,
		"grpc-kratos": serveKratosGRPC,
	}
	if len(arguments) == 5 && arguments[0] == "load" {
		return load(arguments[1], arguments[2], arguments[3], arguments[4])
	}
	if len(arguments) == 2 && servers[arguments[0]] != nil {
		return servers[arguments[0]](arguments[1])
	}
	return fmt.Errorf("usage: gokratos http|grpc|grpc-kratos HOST:PORT, or " +
		"gokratos load unary|stream HOST:PORT IN-FLIGHT SECONDS")
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
