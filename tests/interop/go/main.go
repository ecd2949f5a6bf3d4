// Command interop is a Go Kratos service and client for the tests of the Python side.
//
//	interop server             prints its addresses as JSON, serves until standard input ends
//	interop client http ADDR   calls a service, prints one JSON line for each check
//	interop client grpc ADDR
//	interop refused http ADDR  calls a service that refuses, prints what Go makes of it
//	interop refused grpc ADDR
//
// Built with the paths of Go Kratos v2 and the file in ../go2 it is one of those, without streams.
package main

import (
	"fmt"
	"os"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "server":
		err = serve()
	case len(os.Args) == 4 && os.Args[1] == "client":
		err = call(os.Args[2], os.Args[3])
	case len(os.Args) == 4 && os.Args[1] == "refused":
		err = refused(os.Args[2], os.Args[3])
	default:
		err = fmt.Errorf("usage: interop server | interop client|refused http|grpc ADDR")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
