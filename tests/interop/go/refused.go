package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/go-kratos/kratos/v3/errors"
	"github.com/go-kratos/kratos/v3/middleware/circuitbreaker"
	"github.com/go-kratos/kratos/v3/middleware/ratelimit"
)

type refusal struct {
	Metadata map[string]string `json:"metadata"`
	Limiter  bool              `json:"limiter"` // as Go's own limiter refuses
	Breaker  bool              `json:"breaker"` // as Go's own breaker does
}

// refused calls a service once and prints the error that it gets.
func refused(kind, addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := connect(ctx, kind, addr)
	if err != nil {
		return err
	}
	_, err = c.meta(ctx)
	if err == nil {
		return fmt.Errorf("the call was not refused")
	}
	got := errors.FromError(err) // over gRPC it is a status first
	return json.NewEncoder(os.Stdout).Encode(refusal{
		Metadata: got.Metadata,
		Limiter:  alike(got, ratelimit.ErrLimitExceed),
		Breaker:  alike(got, circuitbreaker.ErrNotAllowed),
	})
}

func alike(got *errors.Error, want error) bool {
	return got.Is(want) && got.Message == errors.FromError(want).Message
}
