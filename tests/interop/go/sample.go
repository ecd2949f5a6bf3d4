package main

import (
	"math"
	"time"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"kratos.test/interop/api"
)

// sample returns a message with a telling value in every kind of field.
func sample() *api.AllKinds {
	packed, err := anypb.New(&api.Inner{Title: "packed", Pages: 7})
	if err != nil {
		panic(err)
	}
	tree, err := structpb.NewStruct(map[string]any{
		"text": "ü", "number": 1.5, "list": []any{true, nil}, "tree": map[string]any{"a": "b"},
	})
	if err != nil {
		panic(err)
	}
	return &api.AllKinds{
		ADouble: 1.5e300, AFloat: -0.25,
		AnInt32: math.MinInt32, AnInt64: math.MaxInt64, AUint32: math.MaxUint32, AUint64: math.MaxUint64,
		ASint32: -1, ASint64: math.MinInt64,
		AFixed32: 32, AFixed64: 1 << 60, ASfixed32: -32, ASfixed64: -64,
		ABool: true, AString: "Grüße, 世界 \u2028 \"quoted\"", SomeBytes: []byte{0, 255, 254, 62, 63},
		Color: api.Color_GREEN, Inner: &api.Inner{Title: "inner", Pages: 1 << 53},
		Numbers: []int64{0, -1, math.MaxInt64}, Words: []string{"", "two"},
		Inners:   []*api.Inner{{Title: "a"}, {}},
		Texts:    map[string]string{"k": "v", "": "empty", "dot.ted": "x"},
		ByNumber: map[int64]*api.Inner{-5: {Title: "minus five"}},
		Choice:   &api.AllKinds_ChosenInner{ChosenInner: &api.Inner{Title: "chosen"}},
		Maybe:    new(int32),
		At:       timestamppb.New(time.Date(2024, 2, 29, 23, 59, 59, 123000000, time.UTC)),
		Lasting:  durationpb.New(-90*time.Second - 500*time.Millisecond),
		Mask:     &fieldmaskpb.FieldMask{Paths: []string{"a_string", "inner.title"}},
		Tree:     tree, Value: structpb.NewNullValue(),
		List: &structpb.ListValue{Values: []*structpb.Value{structpb.NewStringValue("x")}},
		Any:  packed, WrappedInt64: wrapperspb.Int64(0), WrappedString: wrapperspb.String(""),
		WrappedBool: wrapperspb.Bool(false), WrappedBytes: wrapperspb.Bytes([]byte{1}),
		WrappedDouble: wrapperspb.Double(math.Inf(1)),
		Colors:        []api.Color{api.Color_RED, api.Color_COLOR_UNSPECIFIED},
		ColorByName:   map[string]api.Color{"grass": api.Color_GREEN},
	}
}

// question returns a request whose fields travel in a path and a query.
func question() *api.FindRequest {
	yes := true
	return &api.FindRequest{
		Shelf: "first floor", Book: &api.Inner{Title: "Krieg und Frieden", Pages: 1225},
		Limit: math.MaxInt64, Tags: []string{"a b", "c&d"}, Labels: map[string]string{"lang": "de"},
		Exact: &yes, Color: api.Color_RED,
		Within: durationpb.New(90 * time.Second),
		Since:  timestamppb.New(time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)),
	}
}
