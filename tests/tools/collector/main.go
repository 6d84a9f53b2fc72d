// An OpenTelemetry Collector for tests/cluster/telemetry: the receiver of OTLP as everybody runs it, and an exporter that
// keeps what has arrived, and the headers that it came with, as JSON lines in a file.
//
//	otel-collector --config FILE
//
// The lines are {"signal": "traces" or "metrics", "headers": {NAME: [VALUE…]}, "received": OTLP as JSON}, one a request.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"sync"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
)

func main() {
	command := otelcol.NewCommand(otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{Command: "otel-collector", Description: "keeps what it receives"},
		Factories: factories,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
			DefaultScheme:     "file",
			ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory()},
		}},
	})
	if err := command.Execute(); err != nil {
		log.Fatal(err)
	}
}

func factories() (otelcol.Factories, error) {
	kept := exporter.NewFactory(component.MustNewType("kept"), func() component.Config { return &config{} },
		exporter.WithTraces(newTraces, component.StabilityLevelStable),
		exporter.WithMetrics(newMetrics, component.StabilityLevelStable))
	receivers, first := otelcol.MakeFactoryMap[receiver.Factory](otlpreceiver.NewFactory())
	exporters, second := otelcol.MakeFactoryMap[exporter.Factory](kept)
	return otelcol.Factories{
		Receivers: receivers, Exporters: exporters, Telemetry: otelconftelemetry.NewFactory(),
	}, errors.Join(first, second)
}

// config is what the exporter's section of the configuration says.
type config struct {
	Path string `mapstructure:"path"`
}

func (c *config) Validate() error {
	if c.Path == "" {
		return errors.New("path is unset; accepted: a file")
	}
	return nil
}

// kept is an exporter; both signals have one each, and share the file.
type kept struct {
	path string
	component.StartFunc
	component.ShutdownFunc
}

func newTraces(_ context.Context, _ exporter.Settings, from component.Config) (exporter.Traces, error) {
	return &kept{path: from.(*config).Path}, nil
}

func newMetrics(_ context.Context, _ exporter.Settings, from component.Config) (exporter.Metrics, error) {
	return &kept{path: from.(*config).Path}, nil
}

func (*kept) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (k *kept) ConsumeTraces(ctx context.Context, traces ptrace.Traces) error {
	body, err := (&ptrace.JSONMarshaler{}).MarshalTraces(traces)
	return errors.Join(err, k.keep(ctx, "traces", body))
}

func (k *kept) ConsumeMetrics(ctx context.Context, metrics pmetric.Metrics) error {
	body, err := (&pmetric.JSONMarshaler{}).MarshalMetrics(metrics)
	return errors.Join(err, k.keep(ctx, "metrics", body))
}

// writing is held by who adds a line.
var writing sync.Mutex

func (k *kept) keep(ctx context.Context, signal string, body []byte) error {
	metadata, headers := client.FromContext(ctx).Metadata, map[string][]string{}
	for name := range metadata.Keys() {
		headers[name] = metadata.Get(name)
	}
	line, err := json.Marshal(map[string]any{"signal": signal, "headers": headers, "received": json.RawMessage(body)})
	if err != nil {
		return err
	}
	writing.Lock()
	defer writing.Unlock()
	file, err := os.OpenFile(k.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	return errors.Join(err, file.Close())
}
