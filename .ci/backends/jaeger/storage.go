// The extension of Jaeger that hands its storages out, with the one in memory alone. It takes the
// place of a file in the module of Jaeger when that is compiled.
package jaegerstorage

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/jaegertracing/jaeger/internal/storage/v1"
	settings "github.com/jaegertracing/jaeger/internal/storage/v1/memory"
	"github.com/jaegertracing/jaeger/internal/storage/v2/api/tracestore"
	"github.com/jaegertracing/jaeger/internal/storage/v2/memory"
	"github.com/jaegertracing/jaeger/internal/telemetry"
)

type TraceBackend struct {
	Memory settings.Configuration `mapstructure:"memory"`
}

type Config struct {
	TraceBackends map[string]TraceBackend `mapstructure:"backends"`
}

type Extension interface {
	extension.Extension
	TraceStorageFactory(name string) (tracestore.Factory, bool)
	MetricStorageFactory(name string) (storage.MetricStoreFactory, bool)
}

type inMemory struct {
	config    *Config
	settings  component.TelemetrySettings
	factories map[string]tracestore.Factory
}

func newStorageExt(config *Config, settings component.TelemetrySettings) *inMemory {
	return &inMemory{config, settings, map[string]tracestore.Factory{}}
}

func (e *inMemory) Start(_ context.Context, host component.Host) error {
	for name, backend := range e.config.TraceBackends {
		factory, err := memory.NewFactory(backend.Memory, telemetry.FromOtelComponent(e.settings, host))
		if err != nil {
			return err
		}
		e.factories[name] = factory
	}
	return nil
}

func (*inMemory) Shutdown(context.Context) error { return nil }

func (e *inMemory) TraceStorageFactory(name string) (tracestore.Factory, bool) {
	factory, ok := e.factories[name]
	return factory, ok
}

func (*inMemory) MetricStorageFactory(string) (storage.MetricStoreFactory, bool) { return nil, false }

func GetTraceStoreFactory(name string, host component.Host) (tracestore.Factory, error) {
	if kept, ok := host.GetExtensions()[ID].(Extension); ok {
		if factory, ok := kept.TraceStorageFactory(name); ok {
			return factory, nil
		}
	}
	return nil, fmt.Errorf("there is no storage %q of traces", name)
}

func GetMetricStorageFactory(name string, _ component.Host) (storage.MetricStoreFactory, error) {
	return nil, fmt.Errorf("there is no storage %q of metrics", name)
}
