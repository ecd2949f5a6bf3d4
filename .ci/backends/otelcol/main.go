// A collector of OpenTelemetry with the parts that tests need, and with Jaeger's, which keep traces
// in memory and answer questions about them.
//
// The program of Jaeger itself holds a client of each database that it can write to, which takes
// many minutes to compile. What it is made of is internal, so this is a module below it.
package main

import (
	"log"

	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/fluentforwardreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/debugexporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"

	"github.com/jaegertracing/jaeger/cmd/jaeger/internal/exporters/storageexporter"
	"github.com/jaegertracing/jaeger/cmd/jaeger/internal/extension/jaegerquery"
	"github.com/jaegertracing/jaeger/cmd/jaeger/internal/extension/jaegerstorage"
)

func byType[F component.Factory](factories ...F) map[component.Type]F {
	found := make(map[component.Type]F, len(factories))
	for _, factory := range factories {
		found[factory.Type()] = factory
	}
	return found
}

func parts() (otelcol.Factories, error) {
	return otelcol.Factories{
		Extensions: byType[extension.Factory](jaegerstorage.NewFactory(), jaegerquery.NewFactory()),
		Receivers:  byType[receiver.Factory](otlpreceiver.NewFactory(), fluentforwardreceiver.NewFactory()),
		Exporters:  byType[exporter.Factory](debugexporter.NewFactory(), storageexporter.NewFactory()),
		Telemetry:  otelconftelemetry.NewFactory(),
	}, nil
}

func main() {
	command := otelcol.NewCommand(otelcol.CollectorSettings{
		BuildInfo: component.NewDefaultBuildInfo(),
		Factories: parts,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{
			ResolverSettings: confmap.ResolverSettings{
				ProviderFactories: []confmap.ProviderFactory{
					envprovider.NewFactory(), fileprovider.NewFactory(),
				},
			},
		},
	})
	if err := command.Execute(); err != nil {
		log.Fatal(err)
	}
}
