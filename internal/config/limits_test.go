package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/limit"
)

// TestNoBudgets: a server that was told nothing limits nothing behind the door.
func TestNoBudgets(t *testing.T) {
	c := Default().Limits.Budgets()
	for _, l := range c.Limits {
		if l.Amount != 0 {
			t.Errorf("%s is limited to %d", l.Name, l.Amount)
		}
	}
	for _, q := range c.Quotas {
		if q.Amount != 0 {
			t.Errorf("%s has a quota of %d", q.Name, q.Amount)
		}
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if len(c.Overrides) != 0 || len(c.Costs) != 0 {
		t.Errorf("%+v", c)
	}
}

func TestBudgets(t *testing.T) {
	full, err := Load(Source{File: "testdata/full.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	c := full.Limits.Budgets()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []limit.Limit{
		{Name: "tenant_calls", Per: limit.PerTenant, Amount: 6000, Period: 10 * time.Second, Burst: 1000},
		{Name: "owner_calls", Per: limit.PerOwner, Amount: 600, Period: 10 * time.Second, Burst: 120},
		{Name: "token_calls", Per: limit.PerToken, Amount: 300, Period: 10 * time.Second, Burst: 60},
		{Name: "tenant_cost", Per: limit.PerTenant, Unit: limit.Cost, Amount: 20000, Period: 10 * time.Second, Burst: 5000},
		{Name: "owner_cost", Per: limit.PerOwner, Unit: limit.Cost, Amount: 2000, Period: 10 * time.Second, Burst: 500},
		{Name: "sessions_open", Per: limit.PerOwner, Operation: limit.SessionsOpen, Amount: 30, Period: 10 * time.Second, Burst: 5},
		{Name: "mcts.owner_calls", Per: limit.PerOwner, Operation: "mcts", Amount: 60, Period: 10 * time.Second, Burst: 10},
	} {
		if !slices.Contains(c.Limits, want) {
			t.Errorf("no %+v in %+v", want, c.Limits)
		}
	}
	for _, want := range []limit.Quota{
		{Name: "tenant_calls_day", Per: limit.PerTenant, Amount: 1e6, OnFailure: limit.Open},
		{Name: "owner_calls_day", Per: limit.PerOwner, Amount: 1e5, OnFailure: limit.Open},
		{Name: "tenant_cpu_day", Per: limit.PerTenant, Unit: limit.CPU, Amount: int64(24 * time.Hour), OnFailure: limit.Open},
		{Name: "owner_cpu_day", Per: limit.PerOwner, Unit: limit.CPU, Amount: int64(2 * time.Hour), OnFailure: limit.Open},
	} {
		if !slices.Contains(c.Quotas, want) {
			t.Errorf("no %+v in %+v", want, c.Quotas)
		}
	}
	want := []limit.Override{
		{Tenant: "acme", Name: "owner_calls", Amount: 1200, Burst: 240},
		{Tenant: "acme", Name: "tenant_cpu_day"},
	}
	if !slices.Equal(c.Overrides, want) {
		t.Errorf("overrides %+v, want %+v", c.Overrides, want)
	}
	if len(c.Limits) != 7 || len(c.Quotas) != 4 || c.Costs["mcts"] != 5 || c.MaxBuckets != 1000 || c.MaxBucketsPerTenant != 100 {
		t.Errorf("%+v", c)
	}
}

func TestLimitRules(t *testing.T) {
	for want, yaml := range map[string]string{
		"limits.tenant_burst":           "tenant_burst: 5",
		"limits.owner_burst":            "owner_burst: 5",
		"limits.token_burst":            "token_burst: 5",
		"limits.tenant_cost_burst":      "tenant_cost_burst: 5",
		"limits.owner_cost_burst":       "owner_cost_burst: 5",
		"limits.open_burst":             "open_burst: 5",
		"limits.tenants[1].tenant":      "tenants: [{tenant: a, owner_rate: 1}, {tenant: a}]",
		"limits.tenants[0].owner_burst": "tenants: [{tenant: a, owner_burst: 1}]",
		"limits.operations[1].operation": `
  operations: [{operation: a}, {operation: a}]`,
		"limits.operations[0].tenant_burst": "operations: [{operation: a, tenant_burst: 2}]",
		"limits.operations[0].cost": `
  owner_cost: 10
  owner_cost_burst: 5
  operations: [{operation: a, cost: 6}]`,
		"limits.period": `
  period: 24h
  owner_rate: 1
  owner_burst: 1000000`,
		"limits.max_buckets_per_tenant": "max_buckets: 100",
		"letters a to z":                "operations: [{operation: 'A:b', owner_rate: 1}]",
	} {
		file := filepath.Join(t.TempDir(), "lyceum.yaml")
		if err := os.WriteFile(file, []byte("dev: true\nlimits:\n  "+strings.TrimLeft(yaml, " \n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(Source{File: file})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a problem of %s", yaml, err, want)
		}
	}
}
