package main

import (
	"context"
	"strings"

	"github.com/go-kratos/kratos/v3/errors"
	"github.com/go-kratos/kratos/v3/metadata"
	"github.com/go-kratos/kratos/v3/transport"

	"kratos.test/interop/api"
)

type service struct {
	api.UnimplementedInteropServer
}

func (service) Echo(_ context.Context, in *api.AllKinds) (*api.AllKinds, error) {
	return in, nil
}

func (service) Find(_ context.Context, in *api.FindRequest) (*api.FindRequest, error) {
	return in, nil
}

func (service) Fail(_ context.Context, in *api.FailRequest) (*api.AllKinds, error) {
	return nil, errors.New(int(in.Code), in.Reason, in.Message).WithMetadata(in.Metadata)
}

func (service) Meta(ctx context.Context, _ *api.MetaRequest) (*api.MetaReply, error) {
	reply := &api.MetaReply{Metadata: map[string]string{}}
	if md, ok := metadata.FromServerContext(ctx); ok {
		for key, values := range md {
			reply.Metadata[key] = strings.Join(values, ",")
		}
	}
	if tr, ok := transport.FromServerContext(ctx); ok {
		tr.ReplyHeader().Set("x-reply", "from go")
	}
	return reply, nil
}
