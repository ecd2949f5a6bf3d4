// Validates messages as Kratos' middleware does: JSON lines of type and message in, the text of the
// error of each as a JSON string out, empty for none.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "kratos.test/validate/shop"
)

type line struct {
	Type    string          `json:"type"`
	Message json.RawMessage `json:"message"`
}

func validate(message proto.Message) error {
	if err := protovalidate.Validate(message); err != nil {
		return err
	}
	if legacy, ok := message.(interface{ Validate() error }); ok {
		return legacy.Validate()
	}
	return nil
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for lines.Scan() {
		var given line
		if err := json.Unmarshal(lines.Bytes(), &given); err != nil {
			panic(err)
		}
		kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(given.Type))
		if err != nil {
			panic(fmt.Sprint(given.Type, err))
		}
		message := kind.New().Interface()
		if err := protojson.Unmarshal(given.Message, message); err != nil {
			panic(fmt.Sprint(string(lines.Bytes()), err))
		}
		text := ""
		if err := validate(message); err != nil {
			text = err.Error()
		}
		if err := out.Encode(text); err != nil {
			panic(err)
		}
	}
}
