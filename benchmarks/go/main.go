// Command gokratos serves the requests of the benchmarks, and makes the load of gRPC and HTTP/2:
//
//	gokratos http|grpc|grpc-kratos HOST:PORT
//	gokratos load [-kind KIND] [-in-flight N] [-connections N] [-seconds S] ... HOST:PORT
package main

import (
	"context"
	"errors"
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
	if len(arguments) > 1 && arguments[0] == "load" {
		return load(arguments[1:])
	}
	if len(arguments) == 2 && servers[arguments[0]] != nil {
		return servers[arguments[0]](arguments[1])
	}
	return errors.New("usage: gokratos http|grpc|grpc-kratos HOST:PORT, or " +
		"gokratos load -help")
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
