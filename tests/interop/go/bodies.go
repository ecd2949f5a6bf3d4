package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"mime/multipart"
	gohttp "net/http"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/protobuf/proto"

	"github.com/go-kratos/kratos/v3/transport/http"

	"kratos.test/interop/api"
)

const (
	formType = "application/x-www-form-urlencoded"
	xmlType  = "application/xml"
)

// runBodies checks bodies that are no JSON.
func runBodies(ctx context.Context, client *http.Client, addr string) {
	tell("form", mirrors(ctx, client, "/interop/echo", formType, formable(), &api.AllKinds{}))
	inner := &api.Inner{Title: "a <b> & 'c' ü", Pages: 1 << 53}
	tell("xml", mirrors(ctx, client, "/interop/mirror", xmlType, inner, &api.Inner{}))
	picture := &httpbody.HttpBody{ContentType: "image/png", Data: picture()}
	tell("upload", mirrors(ctx, client, "/interop/upload", "image/png", picture, &httpbody.HttpBody{}))
	tell("multipart", sendsFile(ctx, addr))
}

func mirrors(ctx context.Context, client *http.Client, path, kind string, in, out proto.Message) error {
	want := proto.Clone(in) // writing a form changes its field masks
	err := client.Invoke(ctx, "POST", path, in, out, http.Accept(kind), http.ContentType(kind))
	if err != nil {
		return err
	}
	if !proto.Equal(want, out) {
		return fmt.Errorf("want %v\ngot %v", want, out)
	}
	return nil
}

// formable returns a sample without what a form of Go Kratos cannot hold.
func formable() *api.AllKinds {
	full := sample()
	full.Inners, full.ByNumber, full.Tree, full.Value = nil, nil, nil, nil
	full.List, full.Any, full.ColorByName = nil, nil, nil
	full.SomeBytes = []byte("abc") // it does not read all of what it writes
	full.Words = []string{"one", "two"}
	full.Texts = map[string]string{"k": "v"}
	full.Inner.Title = "a & b = c"
	full.WrappedString.Value = "wrapped"
	return full
}

func picture() []byte {
	found := make([]byte, 1<<20)
	for i := range found {
		found[i] = byte(i * i >> 3)
	}
	return found
}

// sendsFile posts a form with a file, as a browser does, and expects it to be told by size and sum.
func sendsFile(ctx context.Context, addr string) error {
	body := &bytes.Buffer{}
	form := multipart.NewWriter(body)
	if err := form.WriteField("title", "Dune ü"); err != nil {
		return err
	}
	file, err := form.CreateFormFile("cover", "cover.png")
	if err != nil {
		return err
	}
	if _, err := file.Write(picture()); err != nil {
		return err
	}
	if err := form.Close(); err != nil {
		return err
	}
	request, err := gohttp.NewRequestWithContext(ctx, "POST", "http://"+addr+"/interop/files", body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", form.FormDataContentType())
	reply, err := gohttp.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	got, err := io.ReadAll(reply.Body)
	if err != nil {
		return err
	}
	if want := described("Dune ü", "cover.png", picture()); string(got) != want {
		return fmt.Errorf("want %s, got %d %s", want, reply.StatusCode, got)
	}
	return nil
}

func described(title, name string, data []byte) string {
	return fmt.Sprintf("%s %s %d %x", title, name, len(data), sha256.Sum256(data))
}

// routeBodies binds what is no JSON.
func routeBodies(r *http.Router, svc service) {
	r.POST("/interop/upload", func(ctx http.Context) error {
		in := &httpbody.HttpBody{}
		if err := ctx.Bind(in); err != nil {
			return err
		}
		return answer(ctx, "Upload", in, svc.Upload)
	})
	r.POST("/interop/files", describeFile)
	r.POST("/interop/files/streamed", describeFile)
}

func describeFile(ctx http.Context) error {
	file, header, err := ctx.Request().FormFile("cover")
	if err != nil {
		return err
	}
	defer file.Close()
	data, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	return ctx.String(200, described(ctx.Request().FormValue("title"), header.Filename, data))
}
