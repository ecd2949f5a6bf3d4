// Both ends of a chain of services, with the tracing of Go Kratos.
//
//	trace OTLP
//
// It serves Last over gRPC and prints where. For each line on standard input, which is a URL, it calls
// First there over HTTP, and prints the id of the trace and what it was answered. Its spans go to
// OTLP, an address, over HTTP.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"log"
	"os"
	"time"

	"github.com/go-kratos/kratos/v2"
	"github.com/go-kratos/kratos/v2/middleware/tracing"
	"github.com/go-kratos/kratos/v2/transport/grpc"
	"github.com/go-kratos/kratos/v2/transport/http"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	rpc "google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const last = "/chain.Last/Go"

func main() {
	ctx := context.Background()
	exporter, err := otlptracehttp.New(ctx,
		otlptracehttp.WithEndpoint(os.Args[1]), otlptracehttp.WithInsecure())
	check(err)
	provider := trace.NewTracerProvider(
		trace.WithBatcher(exporter),
		trace.WithResource(resource.NewSchemaless(attribute.String("service.name", "go"))))
	otel.SetTracerProvider(provider)

	server := grpc.NewServer(grpc.Address("127.0.0.1:0"), grpc.Middleware(tracing.Server()))
	server.RegisterService(description(), struct{}{})
	app := kratos.New(kratos.Name("go"), kratos.Server(server))
	endpoint, err := server.Endpoint()
	check(err)
	ended := make(chan error, 1)
	go func() { ended <- app.Run() }()
	check(json.NewEncoder(os.Stdout).Encode(endpoint.Host))

	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		check(json.NewEncoder(os.Stdout).Encode(asked(kratos.NewContext(ctx, app), lines.Text())))
	}
	check(app.Stop())
	check(<-ended)
	check(provider.Shutdown(ctx))
}

// asked calls First at a URL and returns the id of the trace, and the answer.
func asked(ctx context.Context, url string) []string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	caller, err := http.NewClient(ctx, http.WithEndpoint(url), http.WithMiddleware(tracing.Client()))
	check(err)
	defer caller.Close()
	ctx, span := otel.Tracer("trace").Start(ctx, "begin")
	defer span.End()
	reply := &wrapperspb.StringValue{}
	err = caller.Invoke(ctx, "POST", "/first", wrapperspb.String("go"), reply,
		http.Operation("/chain.First/Go"), http.PathTemplate("/first"))
	check(err)
	return []string{span.SpanContext().TraceID().String(), reply.Value}
}

func description() *rpc.ServiceDesc {
	return &rpc.ServiceDesc{
		ServiceName: "chain.Last",
		HandlerType: (*any)(nil),
		Methods: []rpc.MethodDesc{{
			MethodName: "Go",
			Handler: func(
				self any, ctx context.Context, read func(any) error,
				intercept rpc.UnaryServerInterceptor,
			) (any, error) {
				request := &wrapperspb.StringValue{}
				if err := read(request); err != nil {
					return nil, err
				}
				info := &rpc.UnaryServerInfo{Server: self, FullMethod: last}
				return intercept(ctx, request, info, answered)
			},
		}},
	}
}

func answered(_ context.Context, request any) (any, error) {
	return wrapperspb.String(request.(*wrapperspb.StringValue).Value + " go"), nil
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
