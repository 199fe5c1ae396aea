package api

import (
	"context"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/alert"
)

// ListAlerts implements StrictServerInterface. It costs nothing: the picture is
// there already.
func (s rest) ListAlerts(context.Context, ListAlertsRequestObject) (ListAlertsResponseObject, error) {
	list := AlertList{Alerts: []Alert{}}
	var snap *alert.Snapshot
	if s.Alerts != nil {
		snap = s.Alerts()
	}
	if snap == nil {
		return ListAlerts200JSONResponse(list), nil
	}
	list.At = moment(snap.At)
	for _, a := range snap.Alerts {
		one := Alert{
			Name: a.Rule.Name, Severity: AlertSeverity(a.Rule.Severity), State: AlertState(a.State), Summary: a.Rule.Summary, Unit: a.Rule.Unit,
			Since: moment(a.Since), Started: moment(a.Started), Ended: moment(a.Ended), Above: a.Rule.Above, Clear: a.Rule.Clear,
			ForSeconds: a.Rule.For.Seconds(), HoldSeconds: a.Rule.Hold.Seconds(), Runbook: snap.Runbook(a.Rule.Name),
		}
		if a.Known {
			one.Value = new(a.Value)
		}
		list.Alerts = append(list.Alerts, one)
	}
	d := snap.Delivery
	list.Delivery = AlertDelivery{Enabled: d.On, Waiting: d.Waiting, Delivered: d.Delivered, Failed: d.Failed, Dropped: d.Dropped}
	if d.Problem != "" {
		list.Delivery.Problem = new(d.Problem)
	}
	return ListAlerts200JSONResponse(list), nil
}

// moment leaves a time out that never was.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}
