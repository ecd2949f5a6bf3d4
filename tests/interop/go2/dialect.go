package main

import (
	"context"
	"slices"

	ggrpc "google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/go-kratos/kratos/v2/transport/grpc"
	"github.com/go-kratos/kratos/v2/transport/http"
	"github.com/go-kratos/kratos/v2/transport/http/binding"
)

// All other files of this program are those of v3, with its import paths.

func dial(ctx context.Context, opts ...grpc.ClientOption) (*ggrpc.ClientConn, error) {
	return grpc.DialInsecure(ctx, opts...)
}

// codesOver leaves 412 out where v2 knows another one for it.
func codesOver(kind string) []int32 {
	codes := []int32{400, 401, 403, 404, 409, 412, 429, 499, 500, 501, 503, 504}
	if kind == "grpc" {
		codes = slices.DeleteFunc(codes, func(code int32) bool { return code == 412 })
	}
	return codes
}

func pathOf(pattern string, in proto.Message) string {
	return binding.EncodeURL(pattern, in, true)
}

func options(name, pattern string, _ bool) []http.CallOption {
	return []http.CallOption{http.Operation(prefix + name), http.PathTemplate(pattern)}
}

func runMore(context.Context, *http.Client, string) {}

func routeMore(*http.Router, service) {}
