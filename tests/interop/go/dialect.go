package main

import (
	"context"

	ggrpc "google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/go-kratos/kratos/v3/transport/grpc"
	"github.com/go-kratos/kratos/v3/transport/http"
)

// This file is what is different in Go Kratos v2; see ../go2 for its.

const protojson = "application/protojson"

func dial(ctx context.Context, opts ...grpc.ClientOption) (*ggrpc.ClientConn, error) {
	return grpc.NewClient(ctx, opts...)
}

func codesOver(string) []int32 {
	return []int32{400, 401, 403, 404, 409, 412, 429, 499, 500, 501, 503, 504}
}

func pathOf(pattern string, in proto.Message) string {
	return http.BuildPath(pattern, in, http.WithQueryParams())
}

func options(name, pattern string, body bool) []http.CallOption {
	found := []http.CallOption{http.Accept(protojson), http.Operation(prefix + name), http.PathTemplate(pattern)}
	if body {
		found = append(found, http.ContentType(protojson))
	}
	return found
}

func runMore(ctx context.Context, client *http.Client, addr string) {
	runStreams(ctx, client)
	runBodies(ctx, client, addr)
}

func routeMore(r *http.Router, svc service) {
	routeStreams(r, svc)
	routeBodies(r, svc)
}
