package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/go-kratos/kratos/v3/errors"
	"github.com/go-kratos/kratos/v3/metadata"
	"github.com/go-kratos/kratos/v3/transport/http"

	"kratos.test/interop/api"
)

// runStreams checks streams over HTTP, opened in the way that Go Kratos' generated client does.
func runStreams(ctx context.Context, client *http.Client) {
	ctx = metadata.AppendToClientContext(ctx, "x-md-global-color", "red")
	tell("watch", watches(ctx, client, "/interop/watch/dune?count=3", 3, 0))
	tell("watch_nothing", watches(ctx, client, "/interop/watch/dune", 0, 0))
	tell("watch_fails_late", watches(ctx, client, "/interop/watch/dune?count=2&code=409", 2, 409))
	tell("watch_fails_early", watches(ctx, client, "/interop/watch/dune?code=404", 0, 404))
	tell("collect", collects(ctx, client))
	tell("collect_fails", collectFails(ctx, client))
	tell("chat", chats(ctx, client))
	tell("chat_fails", chatFails(ctx, client))
}

func watches(ctx context.Context, client *http.Client, path string, count int64, code int32) error {
	stream, err := client.ServerSentEvent(ctx, "GET", path, nil,
		http.Accept("text/event-stream"), http.ContentType(protojson),
		http.Operation(prefix+"Watch"), http.PathTemplate("/interop/watch/{title}"))
	if err != nil {
		if count == 0 && code != 0 {
			return told(err, code)
		}
		return err
	}
	if header, err := stream.Header(); err != nil || strings.Join(header.Get("x-reply"), "") != "from python" {
		return fmt.Errorf("headers %v, %v", header, err)
	}
	for i := int64(1); ; i++ {
		got := &api.Inner{}
		err := stream.Recv(got)
		if i > count {
			if code != 0 {
				return told(err, code)
			}
			if err != io.EOF {
				return fmt.Errorf("want the end, got %v and %v", got, err)
			}
			return nil
		}
		if err != nil {
			return err
		}
		if got.Title != "dunered" || got.Pages != i {
			return fmt.Errorf("message %d is %v", i, got)
		}
	}
}

func told(err error, code int32) error {
	got := errors.FromError(err)
	if got == nil || got.Code != code || got.Reason != "A_REASON" || got.Message != "a message" || got.Metadata["key"] != "value" {
		return fmt.Errorf("got %v", err)
	}
	return nil
}

// toldInText checks an error that came over a WebSocket, where Go Kratos has a text for it.
func toldInText(err error) error {
	want := "error: code = 409 reason = A_REASON message = a message metadata = map[key:value] cause = <nil>"
	if err == nil || err.Error() != want {
		return fmt.Errorf("got %v", err)
	}
	return nil
}

func open(ctx context.Context, client *http.Client, name, path string) (http.ClientStream, error) {
	return client.WebSocket(ctx, path, http.Accept(protojson), http.ContentType(protojson),
		http.Operation(prefix+name), http.PathTemplate(path))
}

func collects(ctx context.Context, client *http.Client) error {
	stream, err := open(ctx, client, "Collect", "/interop/collect")
	if err != nil {
		return err
	}
	for i := int64(1); i <= 3; i++ {
		if err := stream.Send(&api.Inner{Title: "x", Pages: i}); err != nil {
			return err
		}
	}
	got := &api.Inner{}
	if err := stream.CloseAndRecv(got); err != nil {
		return err
	}
	if got.Title != "redxxx" || got.Pages != 6 {
		return fmt.Errorf("got %v", got)
	}
	return nil
}

func collectFails(ctx context.Context, client *http.Client) error {
	stream, err := open(ctx, client, "Collect", "/interop/collect")
	if err != nil {
		return err
	}
	if err := stream.Send(&api.Inner{Title: "fail"}); err != nil {
		return err
	}
	return toldInText(stream.CloseAndRecv(&api.Inner{}))
}

func chats(ctx context.Context, client *http.Client) error {
	stream, err := open(ctx, client, "Chat", "/interop/rooms/den/chat?tags=a&tags=b")
	if err != nil {
		return err
	}
	for _, title := range []string{"one", "meta"} {
		if err := stream.Send(&api.Inner{Title: title, Pages: 7}); err != nil {
			return err
		}
		got := &api.ChatRequest{}
		if err := stream.Recv(got); err != nil {
			return err
		}
		if title == "meta" {
			title = "red"
		}
		if got.Room != "den" || len(got.Tags) != 2 || got.Inner.GetTitle() != title || got.Inner.GetPages() != 7 {
			return fmt.Errorf("got %v", got)
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if err := stream.Recv(&api.ChatRequest{}); err != io.EOF {
		return fmt.Errorf("want the end, got %v", err)
	}
	return nil
}

func chatFails(ctx context.Context, client *http.Client) error {
	stream, err := open(ctx, client, "Chat", "/interop/rooms/den/chat")
	if err != nil {
		return err
	}
	if err := stream.Send(&api.Inner{Title: "fail"}); err != nil {
		return err
	}
	return toldInText(stream.Recv(&api.ChatRequest{}))
}
