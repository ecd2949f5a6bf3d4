// Command details shows what Go makes of errors with details, and makes some.
//
//	details server            serves gRPC, prints its address, until standard input ends
//	details client http ADDR  calls a service that refuses, prints the error as JSON
//	details client grpc ADDR
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	ggrpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/go-kratos/kratos/v3/errors"
	"github.com/go-kratos/kratos/v3/transport/grpc"
	"github.com/go-kratos/kratos/v3/transport/http"
)

const operation = "/kratos.testing.Echo/Echo"

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "server":
		err = serve()
	case len(os.Args) == 4 && os.Args[1] == "client":
		err = call(os.Args[2], os.Args[3])
	default:
		err = fmt.Errorf("usage: details server | details client http|grpc ADDR")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve refuses every call, with a reason and a field that is wrong.
func serve() error {
	server := grpc.NewServer(grpc.Address("127.0.0.1:0"))
	server.RegisterService(&ggrpc.ServiceDesc{
		ServiceName: "kratos.testing.Echo",
		HandlerType: (*any)(nil),
		Methods:     []ggrpc.MethodDesc{{MethodName: "Echo", Handler: refuse}},
	}, struct{}{})
	url, err := server.Endpoint()
	if err != nil {
		return err
	}
	fmt.Println(url.Host)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Stop(context.Background())
	}()
	return server.Start(context.Background())
}

func refuse(_ any, _ context.Context, decode func(any) error, _ ggrpc.UnaryServerInterceptor) (any, error) {
	if err := decode(&wrapperspb.StringValue{}); err != nil {
		return nil, err
	}
	refusal, err := status.New(codes.InvalidArgument, "not like that").WithDetails(
		&errdetails.ErrorInfo{Reason: "INVALID", Metadata: map[string]string{"k": "v"}},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: "email", Description: "is no address"},
		}},
		&errdetails.LocalizedMessage{Locale: "de", Message: "so nicht"},
	)
	if err != nil {
		return nil, err
	}
	return nil, refusal.Err()
}

type seen struct {
	Code     int32             `json:"code"`
	Reason   string            `json:"reason"`
	Message  string            `json:"message"`
	Metadata map[string]string `json:"metadata"`
	Details  []string          `json:"details"` // over gRPC alone: of HTTP Kratos keeps none
	Fields   map[string]string `json:"fields"`
}

// call calls a service once and prints the error that it gets.
func call(kind, addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	invoke, err := connect(ctx, kind, addr)
	if err != nil {
		return err
	}
	err = invoke(wrapperspb.String("x"), &wrapperspb.StringValue{})
	if err == nil {
		return fmt.Errorf("the call was not refused")
	}
	found := errors.FromError(err)
	told := seen{
		Code: found.Code, Reason: found.Reason, Message: found.Message, Metadata: found.Metadata,
		Fields: map[string]string{},
	}
	for _, detail := range status.Convert(err).Details() {
		told.Details = append(told.Details, fmt.Sprintf("%T", detail))
		if wrong, ok := detail.(*errdetails.BadRequest); ok {
			for _, violation := range wrong.FieldViolations {
				told.Fields[violation.Field] = violation.Description
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(told)
}

func connect(ctx context.Context, kind, addr string) (func(in, out any) error, error) {
	if kind == "http" {
		client, err := http.NewClient(ctx, http.WithEndpoint(addr), http.WithTimeout(10*time.Second))
		return func(in, out any) error {
			return client.Invoke(ctx, "POST", "/kratos.testing/echo", in, out)
		}, err
	}
	conn, err := grpc.NewClient(ctx, grpc.WithEndpoint(addr), grpc.WithTimeout(10*time.Second))
	return func(in, out any) error {
		return conn.Invoke(ctx, operation, in, out)
	}, err
}
