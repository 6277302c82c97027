package template

import (
	"testing"
	"time"

	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
)

// TestAConnectionInTroubleIsNamed: if more connections are declared than can have
// metrics, one without has them while it is in trouble. Its alarms fire, and are OK again
// once it has recovered.
func TestAConnectionInTroubleIsNamed(t *testing.T) {
	t.Parallel()
	const every = 5 * time.Minute
	tr := newTrace(t, "30-minute", every)
	tr.FlexNet("always-well") // by name before the subject, and its token lives a day
	tr.Config.ConnectionMetrics = 1
	beats := func(d time.Duration) {
		for end := tr.Clock.Now().Add(d); tr.Clock.Now().Before(end); {
			tr.beat()
			tr.run()
		}
	}
	tr.run()
	tr.series = series{} // the first run found no token
	beats(2 * time.Hour)
	for _, metric := range []string{"Trouble", "RemainingOfPromise"} {
		if points := tr.series[key("Evertoken", metric, "IssueFunction/"+subject)]; len(points) > 0 {
			t.Errorf("%d values of %s without any trouble", len(points), metric)
		}
	}
	began := tr.Clock.Now()
	tr.IDP.Inject(&fakeidp.Fault{Status: 503})
	beats(time.Hour)
	troubled := tr.Clock.Now()
	tr.IDP.ClearFaults()
	beats(2 * time.Hour)
	for _, how := range readings() {
		r := stack(t, map[string]string{"Every": "5m"})
		first, _ := r.watch(tr.series, subject, fakeworld.Start, troubled, how)
		_, states := r.watch(tr.series, subject, fakeworld.Start, tr.Clock.Now(), how)
		for _, id := range []string{"ConnectionPromiseAlarm", "ConnectionFailedAlarm"} {
			if at, fired := first[id]; !fired || at.Before(began) {
				t.Errorf("%s fired at %s, the trouble began at %s", id, at, began)
			}
			check(t, id+" when all is well again", stateOK, states[id])
		}
	}
}
