package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"kratos.bench/gokratos/api"
)

// load calls one method again and again, a number of times at once over one connection, and
// prints how many messages came.
func load(kind, address, inFlight, seconds string) error {
	ask := map[string]func(context.Context, *grpc.ClientConn) (int64, error){
		"unary": askOnce, "stream": askForMany,
	}[kind]
	callers, err := strconv.Atoi(inFlight)
	if ask == nil || err != nil {
		return fmt.Errorf("load of kind %q by %q callers: there is none", kind, inFlight)
	}
	lasting, err := time.ParseDuration(seconds + "s")
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient(
		"passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
	)
	if err != nil {
		return err
	}
	defer connection.Close()
	var answered atomic.Int64
	var failure atomic.Value
	end := time.Now().Add(lasting)
	var callersDone sync.WaitGroup
	for range callers {
		callersDone.Go(func() {
			for time.Now().Before(end) && failure.Load() == nil {
				came, err := ask(context.Background(), connection)
				if err != nil {
					failure.Store(err)
				}
				answered.Add(came)
			}
		})
	}
	callersDone.Wait()
	if err, failed := failure.Load().(error); failed {
		return fmt.Errorf("a call of %s failed: %w", address, err)
	}
	fmt.Println(answered.Load())
	return nil
}

func askOnce(ctx context.Context, connection *grpc.ClientConn) (int64, error) {
	out := &api.HelloReply{}
	err := connection.Invoke(ctx, helloMethod, &api.HelloRequest{Name: "kratos"}, out)
	return 1, err
}

func askForMany(ctx context.Context, connection *grpc.ClientConn) (int64, error) {
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, countMethod)
	if err != nil {
		return 0, err
	}
	if err := stream.SendMsg(&api.HelloRequest{Name: "kratos"}); err != nil {
		return 0, err
	}
	if err := stream.CloseSend(); err != nil {
		return 0, err
	}
	var came int64
	for {
		err := stream.RecvMsg(&api.HelloReply{})
		if errors.Is(err, io.EOF) {
			return came, nil
		}
		if err != nil {
			return came, err
		}
		came++
	}
}
