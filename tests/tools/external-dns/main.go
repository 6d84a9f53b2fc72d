// Command external-dns is external-dns with its in-memory DNS: what its own main does (package controller, which cannot be
// imported, for it needs every provider), with the flags of external-dns itself. Whenever the records differ from those before
// it writes them to stdout, as one line of JSON: a list of "NAME TYPE TARGETS".
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"sigs.k8s.io/external-dns/endpoint"
	"sigs.k8s.io/external-dns/pkg/apis/externaldns"
	"sigs.k8s.io/external-dns/pkg/apis/externaldns/validation"
	"sigs.k8s.io/external-dns/plan"
	"sigs.k8s.io/external-dns/provider/inmemory"
	"sigs.k8s.io/external-dns/registry"
	"sigs.k8s.io/external-dns/registry/txt"
	"sigs.k8s.io/external-dns/source"
	"sigs.k8s.io/external-dns/source/annotations"
	"sigs.k8s.io/external-dns/source/wrappers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	cfg := externaldns.NewConfig()
	if err := cfg.ParseFlags(os.Args[1:]); err != nil {
		return err
	}
	if err := validation.ValidateConfig(cfg); err != nil {
		return err
	}
	annotations.SetAnnotationPrefix(cfg.AnnotationPrefix)
	of, err := source.NewSourceConfig(cfg)
	if err != nil {
		return err
	}
	wanted, err := wrappers.Build(ctx, of)
	if err != nil {
		return err
	}
	dns, err := inmemory.New(ctx, cfg, endpoint.NewDomainFilter(cfg.DomainFilter))
	if err != nil {
		return err
	}
	owned, err := txt.New(cfg, dns)
	if err != nil {
		return err
	}
	for before := []string(nil); ctx.Err() == nil; {
		if err := synchronize(ctx, cfg, wanted, owned); err != nil {
			return err
		}
		if before, err = tell(ctx, owned, before); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(cfg.Interval):
		}
	}
	return nil
}

// synchronize does what RunOnce of external-dns's package controller does.
func synchronize(ctx context.Context, cfg *externaldns.Config, wanted source.Source, owned registry.Registry) error {
	current, err := owned.Records(ctx)
	if err != nil {
		return err
	}
	desired, err := wanted.Endpoints(ctx)
	if err != nil {
		return err
	}
	if desired, err = owned.AdjustEndpoints(desired); err != nil {
		return err
	}
	changes := (&plan.Plan{
		Policies:       []plan.Policy{plan.Policies[cfg.Policy]},
		Current:        current,
		Desired:        desired,
		DomainFilter:   endpoint.MatchAllDomainFilters{endpoint.NewDomainFilter(cfg.DomainFilter), owned.GetDomainFilter()},
		ManagedRecords: cfg.ManagedDNSRecordTypes,
		ExcludeRecords: cfg.ExcludeDNSRecordTypes,
		OwnerID:        owned.OwnerID(),
		OldOwnerID:     cfg.TXTOwnerOld,
	}).Calculate().Changes
	if !changes.HasChanges() {
		return nil
	}
	return owned.ApplyChanges(ctx, changes)
}

// tell writes the records, unless they are those from before, and returns them.
func tell(ctx context.Context, owned registry.Registry, before []string) ([]string, error) {
	records, err := owned.Records(ctx)
	if err != nil {
		return nil, err
	}
	now := make([]string, 0, len(records))
	for _, one := range records {
		now = append(now, fmt.Sprintf("%s %s %s", one.DNSName, one.RecordType, one.Targets))
	}
	slices.Sort(now)
	if before != nil && slices.Equal(now, before) {
		return before, nil
	}
	return now, json.NewEncoder(os.Stdout).Encode(now)
}
