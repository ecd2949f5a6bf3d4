package main

import (
	"context"
	"io"
	"strings"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc"

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

func (service) Mirror(_ context.Context, in *api.Inner) (*api.Inner, error) {
	return in, nil
}

func (service) Upload(_ context.Context, in *httpbody.HttpBody) (*httpbody.HttpBody, error) {
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
	replyHeader(ctx)
	return reply, nil
}

func (service) Watch(in *api.WatchRequest, stream grpc.ServerStreamingServer[api.Inner]) error {
	replyHeader(stream.Context())
	for i := int64(1); i <= in.Count; i++ {
		if err := stream.Send(&api.Inner{Title: in.Title + color(stream.Context()), Pages: i}); err != nil {
			return err
		}
	}
	if in.Code != 0 {
		return failure(in.Code)
	}
	return nil
}

func (service) Collect(stream grpc.ClientStreamingServer[api.Inner, api.Inner]) error {
	sum := &api.Inner{Title: color(stream.Context())}
	for {
		in, err := stream.Recv()
		if err == io.EOF {
			return stream.SendAndClose(sum)
		}
		if err != nil {
			return err
		}
		if in.Title == "fail" {
			return failure(409)
		}
		sum.Title += in.Title
		sum.Pages += in.Pages
	}
}

func (service) Chat(stream grpc.BidiStreamingServer[api.ChatRequest, api.ChatRequest]) error {
	for {
		in, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch in.Inner.GetTitle() {
		case "fail":
			return failure(409)
		case "meta":
			in.Inner.Title = color(stream.Context())
		}
		if err := stream.Send(in); err != nil {
			return err
		}
	}
}

func failure(code int32) error {
	return errors.New(int(code), "A_REASON", "a message").WithMetadata(map[string]string{"key": "value"})
}

func color(ctx context.Context) string {
	md, _ := metadata.FromServerContext(ctx)
	return md.Get("x-md-global-color")
}

func replyHeader(ctx context.Context) {
	if tr, ok := transport.FromServerContext(ctx); ok {
		tr.ReplyHeader().Set("x-reply", "from go")
	}
}
