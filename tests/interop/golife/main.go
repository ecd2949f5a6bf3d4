// Command life is a client of plain grpc-go for the tests of a server's life.
//
//	life idle ADDR SECONDS  keeps a stream open without messages, pinging every 10 s
//	life watch ADDR         opens a stream and waits for its end: replies alone,
//	life collect ADDR       requests alone,
//	life chat ADDR          or both
//
// Prints one JSON line when the stream is open, and one with what became of it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const prefix = "/kratos.testing.Echo/"

var kinds = map[string]*grpc.StreamDesc{
	"Watch":   {ServerStreams: true},
	"Collect": {ClientStreams: true},
	"Chat":    {ServerStreams: true, ClientStreams: true},
}

type end struct {
	Code   string `json:"code"`
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "idle":
		seconds, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		return idle(args[1], time.Duration(seconds)*time.Second)
	case len(args) == 2 && args[0] == "watch":
		return wait("Watch", args[1])
	case len(args) == 2 && args[0] == "collect":
		return wait("Collect", args[1])
	case len(args) == 2 && args[0] == "chat":
		return wait("Chat", args[1])
	}
	return errors.New("usage: life idle ADDR SECONDS | life watch|collect|chat ADDR")
}

func open(name, addr string) (grpc.ClientStream, error) {
	conn, err := grpc.NewClient(addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 10 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true,
		}))
	if err != nil {
		return nil, err
	}
	return conn.NewStream(context.Background(), kinds[name], prefix+name)
}

func idle(addr string, long time.Duration) error {
	stream, err := open("Chat", addr)
	if err != nil {
		return err
	}
	got := &wrapperspb.StringValue{}
	for _, word := range []string{"before", "after"} {
		// What a send fails with says nothing; the end that is received does.
		if err := stream.SendMsg(wrapperspb.String(word)); err != nil && !errors.Is(err, io.EOF) {
			return tell(err)
		}
		if err := stream.RecvMsg(got); err != nil {
			return tell(err)
		}
		if err := tell(nil); err != nil {
			return err
		}
		if word == "before" {
			time.Sleep(long)
		}
	}
	return nil
}

func wait(name, addr string) error {
	stream, err := open(name, addr)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(wrapperspb.String("one hang")); err != nil {
		return err
	}
	if name == "Watch" {
		if err := stream.CloseSend(); err != nil {
			return err
		}
	}
	got := &wrapperspb.StringValue{}
	if name != "Collect" {
		if err := stream.RecvMsg(got); err != nil {
			return err
		}
	}
	if err := tell(nil); err != nil {
		return err
	}
	return tell(stream.RecvMsg(got))
}

func tell(err error) error {
	told := end{Code: "OK"}
	switch {
	case errors.Is(err, io.EOF):
		told.Code = "EOF"
	case err != nil:
		answer := status.Convert(err)
		told.Code, told.Detail = answer.Code().String(), answer.Message()
		for _, each := range answer.Details() {
			if info, ok := each.(*errdetails.ErrorInfo); ok && told.Reason == "" {
				told.Reason = info.GetReason()
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(told)
}
