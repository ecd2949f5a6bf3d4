// Command interop serves gRPC's own interoperability tests on a loopback port of the system's
// choice, which it prints, until standard input ends. What grpc-go has for it listens everywhere.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop"
	"google.golang.org/grpc/orca"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

func main() {
	recorder := orca.NewServerMetricsRecorder()
	options := []grpc.ServerOption{orca.CallMetricsServerOption(nil)}
	if len(os.Args) == 3 {
		secure, err := credentials.NewServerTLSFromFile(os.Args[1], os.Args[2])
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, grpc.Creds(secure))
	}
	server := grpc.NewServer(options...)
	served := orca.ServiceOptions{ServerMetricsProvider: recorder, MinReportingInterval: 30 * time.Second}
	if err := orca.Register(server, served); err != nil {
		log.Fatal(err)
	}
	service := interop.NewTestServer(interop.NewTestServerOptions{MetricsRecorder: recorder})
	testgrpc.RegisterTestServiceServer(server, service)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		server.Stop()
	}()
	fmt.Println(listener.Addr())
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}
