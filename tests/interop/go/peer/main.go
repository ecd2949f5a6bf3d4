// Command peer is a Go Kratos service and client over gRPC alone.
//
//	peer server NAME MILLISECONDS  serves with that time limit, prints its address, until standard input ends
//	peer client TARGET NEXT        calls a service, prints one JSON line for each check
//	peer limit TARGET ""           the same for the time limit of a service
//	peer spread TARGET COUNT       prints which of the services of a target answered, call by call
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	// Kratos' clients of gRPC panic in a program that has none of HTTP: that one sets the selector in time.
	_ "github.com/go-kratos/kratos/v3/transport/http"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("usage: peer server NAME MILLISECONDS | client TARGET NEXT | limit TARGET \"\" | spread TARGET COUNT")
	}
	switch args[0] {
	case "server":
		limit, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		return serve(args[1], time.Duration(limit)*time.Millisecond)
	case "client":
		return call(args[1], args[2])
	case "limit":
		return limited(args[1])
	case "spread":
		count, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		return spread(args[1], count)
	default:
		return fmt.Errorf("unknown command %s", args[0])
	}
}

type check struct {
	Case   string `json:"case"`
	Detail string `json:"detail"` // empty when all is well
}

func tell(name string, err error) {
	result := check{Case: name}
	if err != nil {
		result.Detail = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		panic(err)
	}
}
