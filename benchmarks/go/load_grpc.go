package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"kratos.bench/gokratos/api"
)

func dial(address string) (*grpc.ClientConn, func(), error) {
	connection, err := grpc.NewClient(
		"passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
	)
	if err != nil {
		return nil, nil, err
	}
	return connection, func() { connection.Close() }, nil
}

func unaryAsker(given task) (ask, func(), error) {
	connection, stop, err := dial(given.address)
	return func(ctx context.Context) error {
		return greet(ctx, connection)
	}, stop, err
}

// deadlineAsker asks as most clients do: with a time by which the answer has to be there, and with
// an identity of the request. Both differ from call to call, so no header block comes twice.
func deadlineAsker(given task) (ask, func(), error) {
	connection, stop, err := dial(given.address)
	var number atomic.Int64
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		id := strconv.FormatInt(time.Now().UnixNano()+number.Add(1), 16)
		return greet(metadata.AppendToOutgoingContext(ctx, "x-request-id", id), connection)
	}, stop, err
}

func greet(ctx context.Context, connection *grpc.ClientConn) error {
	out := &api.HelloReply{}
	return connection.Invoke(ctx, helloMethod, &api.HelloRequest{Name: "kratos"}, out)
}

func streamAsker(given task) (ask, func(), error) {
	connection, stop, err := dial(given.address)
	return func(ctx context.Context) error {
		return readStream(ctx, connection, given.messages)
	}, stop, err
}

func readStream(ctx context.Context, connection *grpc.ClientConn, messages int) error {
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, countMethod)
	if err != nil {
		return err
	}
	request := &api.CountRequest{Name: "kratos", Messages: int32(messages)}
	if err := stream.SendMsg(request); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for range messages {
		if err := stream.RecvMsg(&api.HelloReply{}); err != nil {
			return fmt.Errorf("the stream ended early: %w", err)
		}
	}
	if err := stream.RecvMsg(&api.HelloReply{}); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the stream did not end: %w", err)
	}
	return nil
}
