// Command auth serves and calls the echo of the Python tests, with the JWT middleware of Go Kratos.
//
//	auth server ALG PUBLIC             prints its addresses as JSON, serves until standard input ends
//	auth client http|grpc ADDR ALG KEY CLAIMS   calls it once, prints the answer or the error as JSON
//
// ALG is HS256, RS256 or ES256; PUBLIC and KEY are files: a secret, or PEM. CLAIMS are JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/go-kratos/kratos/v2/errors"
	"github.com/go-kratos/kratos/v2/middleware/auth/jwt"
	kgrpc "github.com/go-kratos/kratos/v2/transport/grpc"
	khttp "github.com/go-kratos/kratos/v2/transport/http"
	gojwt "github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const operation = "/kratos.testing.Echo/Echo"

var methods = map[string]gojwt.SigningMethod{
	"HS256": gojwt.SigningMethodHS256,
	"RS256": gojwt.SigningMethodRS256,
	"ES256": gojwt.SigningMethodES256,
}

func main() {
	var err error
	switch {
	case len(os.Args) == 4 && os.Args[1] == "server":
		err = serve(os.Args[2], os.Args[3])
	case len(os.Args) == 7 && os.Args[1] == "client":
		err = call(os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6])
	default:
		err = fmt.Errorf("usage: auth server ALG PUBLIC | auth client http|grpc ADDR ALG KEY CLAIMS")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func load(alg, path string, private bool) (any, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	switch {
	case alg == "HS256":
		return data, nil
	case alg == "RS256" && private:
		return gojwt.ParseRSAPrivateKeyFromPEM(data)
	case alg == "RS256":
		return gojwt.ParseRSAPublicKeyFromPEM(data)
	case private:
		return gojwt.ParseECPrivateKeyFromPEM(data)
	default:
		return gojwt.ParseECPublicKeyFromPEM(data)
	}
}

func keyOf(alg, path string, private bool) (gojwt.Keyfunc, error) {
	key, err := load(alg, path, private)
	return func(*gojwt.Token) (any, error) { return key, nil }, err
}

// echo answers with the subject of the token in place of the request.
func echo(ctx context.Context, _ any) (any, error) {
	claims, ok := jwt.FromContext(ctx)
	if !ok {
		return nil, errors.InternalServer("NO_CLAIMS", "")
	}
	subject, err := claims.GetSubject()
	return wrapperspb.String(subject), err
}

func serve(alg, path string) error {
	key, err := keyOf(alg, path, false)
	if err != nil {
		return err
	}
	guard := jwt.Server(key, jwt.WithSigningMethod(methods[alg]))
	web := khttp.NewServer(khttp.Address("127.0.0.1:0"), khttp.Middleware(guard))
	web.Route("/").POST("/kratos.testing/echo", func(ctx khttp.Context) error {
		var request wrapperspb.StringValue
		if err := ctx.Bind(&request); err != nil {
			return err
		}
		khttp.SetOperation(ctx, operation)
		reply, err := ctx.Middleware(echo)(ctx, &request)
		if err != nil {
			return err
		}
		return ctx.Result(200, reply)
	})
	rpc := kgrpc.NewServer(kgrpc.Address("127.0.0.1:0"), kgrpc.Middleware(guard))
	rpc.RegisterService(&grpc.ServiceDesc{
		ServiceName: "kratos.testing.Echo",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Echo", Handler: handle}},
	}, struct{}{})
	webURL, err := web.Endpoint()
	if err != nil {
		return err
	}
	rpcURL, err := rpc.Endpoint()
	if err != nil {
		return err
	}
	ctx := context.Background()
	go func() { _ = web.Start(ctx) }()
	go func() { _ = rpc.Start(ctx) }()
	addresses := map[string]string{"http": webURL.Host, "grpc": rpcURL.Host}
	if err := json.NewEncoder(os.Stdout).Encode(addresses); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	_ = web.Stop(ctx)
	_ = rpc.Stop(ctx)
	return err
}

func handle(_ any, ctx context.Context, decode func(any) error, around grpc.UnaryServerInterceptor) (any, error) {
	request := new(wrapperspb.StringValue)
	if err := decode(request); err != nil {
		return nil, err
	}
	return around(ctx, request, &grpc.UnaryServerInfo{FullMethod: operation}, echo)
}

func call(transport, address, alg, path, text string) error {
	key, err := keyOf(alg, path, true)
	if err != nil {
		return err
	}
	claims := gojwt.MapClaims{}
	if err := json.Unmarshal([]byte(text), &claims); err != nil {
		return err
	}
	sign := jwt.Client(
		key,
		jwt.WithSigningMethod(methods[alg]),
		jwt.WithClaims(func() gojwt.Claims { return claims }),
	)
	ctx := context.Background()
	reply := new(wrapperspb.StringValue)
	switch transport {
	case "http":
		client, err := khttp.NewClient(ctx, khttp.WithEndpoint(address), khttp.WithMiddleware(sign))
		if err != nil {
			return err
		}
		defer client.Close()
		err = client.Invoke(ctx, "POST", "/kratos.testing/echo", wrapperspb.String("x"), reply, khttp.Operation(operation))
		return tell(reply, err)
	default:
		connection, err := kgrpc.DialInsecure(ctx, kgrpc.WithEndpoint(address), kgrpc.WithMiddleware(sign))
		if err != nil {
			return err
		}
		defer connection.Close()
		return tell(reply, connection.Invoke(ctx, operation, wrapperspb.String("x"), reply))
	}
}

func tell(reply *wrapperspb.StringValue, err error) error {
	found := map[string]any{"reply": reply.GetValue()}
	if err != nil {
		seen := errors.FromError(err)
		found = map[string]any{"code": seen.Code, "reason": seen.Reason, "message": seen.Message}
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}
