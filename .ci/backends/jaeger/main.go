// Jaeger, which is a collector of OpenTelemetry, with the parts that tests need: what it is sent it
// keeps in memory, and answers questions about it.
//
// Its own program holds a client of each database that it can write to, which takes many minutes to
// compile. What it is made of is internal, so this is compiled within its module.
package main

import (
	"log"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/exporter"
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
		Receivers:  byType[receiver.Factory](otlpreceiver.NewFactory()),
		Exporters:  byType[exporter.Factory](storageexporter.NewFactory()),
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
