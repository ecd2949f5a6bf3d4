package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
)

const (
	jsonType = "application/json"
	greeting = `"Hello kratos"`
)

// clientOf returns a client of one version of HTTP, in clear text.
func clientOf(version func(*http.Protocols)) (*http.Client, func()) {
	transport := &http.Transport{Protocols: new(http.Protocols), MaxIdleConnsPerHost: 1024}
	version(transport.Protocols)
	return &http.Client{Transport: transport}, transport.CloseIdleConnections
}

func overHTTP1(protocols *http.Protocols) { protocols.SetHTTP1(true) }

func overHTTP2(protocols *http.Protocols) { protocols.SetUnencryptedHTTP2(true) }

// restAsker asks for the greeting by the path of its rule.
func restAsker(version func(*http.Protocols)) asker {
	return func(given task) (ask, func(), error) {
		client, stop := clientOf(version)
		url := "http://" + given.address + "/hello/kratos"
		return func(ctx context.Context) error {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return err
			}
			return exchange(client, request)
		}, stop, nil
	}
}

// connectAsker makes unary calls of the Connect protocol, in JSON, over HTTP/2.
func connectAsker(given task) (ask, func(), error) {
	client, stop := clientOf(overHTTP2)
	url := "http://" + given.address + helloMethod
	body := []byte(`{"name":"kratos"}`)
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("content-type", jsonType)
		request.Header.Set("connect-protocol-version", "1")
		return exchange(client, request)
	}, stop, nil
}

func exchange(client *http.Client, request *http.Request) error {
	request.Header.Set("accept", jsonType)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(greeting)) {
		return fmt.Errorf("answered with %d %q", response.StatusCode, body)
	}
	return nil
}
