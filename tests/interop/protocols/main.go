// Program protocols calls a service once and prints what came, as JSON of the Go type:
//
//	protocols <case> <address>
//
// It knows the definitions of kratos.api.Metadata, of health and of reflection, as everybody does.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/go-kratos/kratos/v2/api/metadata"
	_ "github.com/go-kratos/kratos/v2/transport/grpc" // registers the codec "json"
	"github.com/go-kratos/kratos/v2/transport/http"
)

var (
	json   = grpc.CallContentSubtype("json")
	packed = grpc.UseCompressor(gzip.Name)
	self   = &metadata.GetServiceDescRequest{Name: "kratos.api.Metadata"}
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	reply, err := call(ctx, os.Args[1], os.Args[2])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	text, err := protojson.Marshal(reply)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

func call(ctx context.Context, name, address string) (proto.Message, error) {
	if name == "http-list" || name == "http-describe" {
		return callHTTP(ctx, name, address)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	client := metadata.NewMetadataClient(conn)
	switch name {
	case "list":
		return client.ListServices(ctx, &metadata.ListServicesRequest{})
	case "describe":
		return client.GetServiceDesc(ctx, self)
	case "json-list":
		return client.ListServices(ctx, &metadata.ListServicesRequest{}, json)
	case "json-describe":
		return client.GetServiceDesc(ctx, self, json)
	case "json-missing":
		return client.GetServiceDesc(ctx, &metadata.GetServiceDescRequest{Name: "no.Such"}, json)
	case "json-packed":
		return client.GetServiceDesc(ctx, self, json, packed)
	case "json-health":
		return grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, json)
	case "json-text":
		reply := new(wrapperspb.StringValue)
		err := conn.Invoke(ctx, "/kratos.testing.Echo/Echo", wrapperspb.String("hello"), reply, json)
		return reply, err
	case "json-stream":
		return reflect(ctx, conn, json)
	case "packed":
		return client.GetServiceDesc(ctx, self, packed)
	case "packed-stream":
		return reflect(ctx, conn, packed)
	}
	return nil, fmt.Errorf("there is no case %q", name)
}

// reflect asks twice over one stream, and returns the second answer.
func reflect(ctx context.Context, conn *grpc.ClientConn, options ...grpc.CallOption) (proto.Message, error) {
	stream, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx, options...)
	if err != nil {
		return nil, err
	}
	var reply *grpc_reflection_v1.ServerReflectionResponse
	for range 2 {
		request := &grpc_reflection_v1.ServerReflectionRequest{
			MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{ListServices: "*"},
		}
		if err := stream.Send(request); err != nil {
			return nil, err
		}
		if reply, err = stream.Recv(); err != nil {
			return nil, err
		}
	}
	return reply, stream.CloseSend()
}

func callHTTP(ctx context.Context, name, address string) (proto.Message, error) {
	client, err := http.NewClient(ctx, http.WithEndpoint(address), http.WithTimeout(20*time.Second))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	service := metadata.NewMetadataHTTPClient(client)
	if name == "http-list" {
		return service.ListServices(ctx, &metadata.ListServicesRequest{})
	}
	return service.GetServiceDesc(ctx, self)
}
