package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// task is what a load shall do.
type task struct {
	kind        string
	address     string
	inFlight    int
	connections int
	lasting     time.Duration
	askings     int64
	messages    int
}

// ask does one thing, once.
type ask func(context.Context) error

// asker makes a connection, and returns what asks over it.
type asker func(task) (ask, func(), error)

var askers = map[string]asker{
	"unary":          unaryAsker,
	"unary-deadline": deadlineAsker,
	"stream":         streamAsker,
	"rest-h1":        restAsker(overHTTP1),
	"rest-h2":        restAsker(overHTTP2),
	"connect-json":   connectAsker,
}

func parseTask(arguments []string) (task, error) {
	var given task
	var seconds float64
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.StringVar(&given.kind, "kind", "unary", "what is asked for")
	flags.IntVar(&given.inFlight, "in-flight", 32, "askings at once, over all connections")
	flags.IntVar(&given.connections, "connections", 1, "connections that share them")
	flags.Float64Var(&seconds, "seconds", 1, "for how long")
	flags.Int64Var(&given.askings, "askings", 0, "at most so many; 0: until the time is over")
	flags.IntVar(&given.messages, "messages", 1000, "of one stream")
	if err := flags.Parse(arguments); err != nil {
		return given, err
	}
	given.address = flags.Arg(0)
	given.lasting = time.Duration(seconds * float64(time.Second))
	if askers[given.kind] == nil || flags.NArg() != 1 {
		return given, fmt.Errorf("load of kind %q on %q: there is none", given.kind, flags.Args())
	}
	if given.connections < 1 || given.inFlight < given.connections {
		return given, fmt.Errorf(
			"%d in flight over %d connections: each needs one", given.inFlight, given.connections,
		)
	}
	return given, nil
}

// load asks for the same again and again, and prints how often, and the seconds of CPU that this
// process took meanwhile.
func load(arguments []string) error {
	given, err := parseTask(arguments)
	if err != nil {
		return err
	}
	asks := make([]ask, given.connections)
	for number := range asks {
		asking, stop, err := askers[given.kind](given)
		if err != nil {
			return err
		}
		defer stop()
		asks[number] = asking
		if given.askings == 0 { // the connection is made, and what is made once
			if err := asking(context.Background()); err != nil {
				return fmt.Errorf("the first call of %s failed: %w", given.address, err)
			}
		}
	}
	before := used()
	done, err := askAll(given, asks)
	if err != nil {
		return fmt.Errorf("a call of %s failed: %w", given.address, err)
	}
	return json.NewEncoder(os.Stdout).Encode([]any{done, (used() - before).Seconds()})
}

func askAll(given task, asks []ask) (int64, error) {
	var done, begun atomic.Int64
	var failure atomic.Value
	end := time.Now().Add(given.lasting)
	more := func() bool {
		if given.askings > 0 {
			return begun.Add(1) <= given.askings
		}
		return time.Now().Before(end)
	}
	var callers sync.WaitGroup
	for number := range given.inFlight {
		asking := asks[number%len(asks)]
		callers.Go(func() {
			for more() && failure.Load() == nil {
				if err := asking(context.Background()); err != nil {
					failure.Store(err)
					return
				}
				done.Add(1)
			}
		})
	}
	callers.Wait()
	err, _ := failure.Load().(error)
	return done.Load(), err
}

// used returns the time of all processors that this process has had.
func used() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // it knows no other reason than a wrong argument
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
