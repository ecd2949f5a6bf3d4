// All that questions about traces need of Jaeger's storages of old. It takes the place of the files
// in the module of Jaeger that make one of each kind.
package factory

import "github.com/jaegertracing/jaeger/internal/storage/v1/api/spanstore"

type ArchiveStorage struct {
	Reader spanstore.Reader
	Writer spanstore.Writer
}
