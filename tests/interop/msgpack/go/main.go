// Command msgpack does what the codec "msgpack" of Go Kratos does, with the library that it uses:
// it writes messages that it is given in the wire format, and reads them, line by line.
//
//	msgpack convert           lines of JSON: {"do": "write" or "read", "type": ..., "data": ...}
//	msgpack serve             a service over HTTP that speaks it; says its address first
//	msgpack call ADDRESS      asks such a service, and prints its answer or its error as JSON
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	nethttp "net/http"
	"net/url"
	"os"

	"github.com/go-kratos/kratos/v3/encoding"
	"github.com/go-kratos/kratos/v3/errors"
	"github.com/go-kratos/kratos/v3/transport/http"
	"github.com/vmihailenco/msgpack/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	_ "google.golang.org/protobuf/types/descriptorpb"
	_ "google.golang.org/protobuf/types/known/structpb"
	_ "google.golang.org/protobuf/types/known/typepb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	_ "kratos.test/msgpack/v1"
)

const path = "/kratos.testing/echo"

type codec struct{}

func (codec) Marshal(v any) ([]byte, error)      { return msgpack.Marshal(v) }
func (codec) Unmarshal(data []byte, v any) error { return msgpack.Unmarshal(data, v) }
func (codec) Name() string                       { return "msgpack" }

type question struct {
	Do   string
	Type string
	Data []byte
}

type answer struct {
	Data  []byte `json:"data"`
	Error string `json:"error"`
}

func main() {
	encoding.RegisterCodec(codec{})
	var err error
	switch os.Args[1] {
	case "convert":
		err = convert()
	case "serve":
		err = serve()
	case "call":
		err = call(os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func convert() error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<26)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			return err
		}
		data, err := converted(asked)
		told := answer{Data: data}
		if err != nil {
			told.Error = err.Error()
		}
		if err := out.Encode(told); err != nil {
			return err
		}
	}
	return lines.Err()
}

func converted(asked question) (data []byte, err error) {
	defer func() {
		if found := recover(); found != nil {
			err = fmt.Errorf("panic: %v", found)
		}
	}()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(asked.Type))
	if err != nil {
		return nil, err
	}
	message := kind.New().Interface()
	if asked.Do == "read" {
		if err := msgpack.Unmarshal(asked.Data, message); err != nil {
			return nil, err
		}
		return proto.Marshal(message)
	}
	if err := proto.Unmarshal(asked.Data, message); err != nil {
		return nil, err
	}
	return msgpack.Marshal(message)
}

func serve() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := http.NewServer(
		http.Listener(listener),
		http.Endpoint(&url.URL{Scheme: "http", Host: listener.Addr().String()}),
	)
	server.Route("/").POST(path, func(ctx http.Context) error {
		var request wrapperspb.StringValue
		if err := ctx.Bind(&request); err != nil {
			return err
		}
		if request.Value == "refuse" {
			return errors.BadRequest("NOT_THIS", "not this one").WithMetadata(map[string]string{"k": "v"})
		}
		return ctx.Result(200, &request)
	})
	fmt.Println(listener.Addr())
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		_ = server.Stop(context.Background())
	}()
	return server.Start(context.Background())
}

func call(address string) error {
	ctx := context.Background()
	client, err := http.NewClient(ctx, http.WithEndpoint(address))
	if err != nil {
		return err
	}
	defer client.Close()
	for _, text := range []string{"größe", "refuse"} {
		var reply wrapperspb.StringValue
		headers := nethttp.Header{"Accept": {"application/msgpack"}} // first the request's
		err = client.Invoke(ctx, "POST", path, wrapperspb.String(text), &reply,
			http.ContentType("application/msgpack"), http.Header(&headers))
		told := map[string]any{"value": reply.Value, "type": headers.Get("Content-Type")}
		if err != nil {
			found := errors.FromError(err)
			told = map[string]any{
				"code": found.Code, "reason": found.Reason, "message": found.Message,
				"metadata": found.Metadata,
			}
		}
		if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
			return err
		}
	}
	return nil
}
