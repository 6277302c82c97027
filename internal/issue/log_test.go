package issue

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/exchange"
	"evertoken/internal/renew"
)

// logged are the lines that a runner logs at a level and above, without their time.
func logged(t *testing.T, least slog.Level, write func(*Runner)) []map[string]any {
	t.Helper()
	var b bytes.Buffer
	write(&Runner{Now: func() time.Time { return now },
		Log: slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: least}))})
	var lines []map[string]any
	for line := range strings.Lines(b.String()) {
		var members map[string]any
		if err := json.Unmarshal([]byte(line), &members); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		delete(members, slog.TimeKey)
		lines = append(lines, members)
	}
	return lines
}

// TestALogLineHasWhatIsKnownOfAConnection: it has no member for what is not known.
func TestALogLineHasWhatIsKnownOfAConnection(t *testing.T) {
	t.Parallel()
	members := func(level, outcome, reason string, more ...any) map[string]any {
		out := map[string]any{"level": level, "msg": "connection", "connection": "c",
			"outcome": outcome, "reason": reason}
		for i := 0; i < len(more); i += 2 {
			out[more[i].(string)] = more[i+1]
		}
		return out
	}
	end := now.Add(90 * time.Second)
	for name, tt := range map[string]struct {
		result renew.Result
		want   map[string]any
	}{
		"issued": {
			renew.Result{Outcome: renew.Issued, Reason: "due", Grant: "password", ExpiresAt: end},
			members("INFO", "issued", "due", "grant_type", "password", "expires_in", 90.0),
		},
		"fresh": {
			renew.Result{Outcome: renew.Fresh, Reason: "not due", ExpiresAt: end},
			members("DEBUG", "fresh", "not due", "expires_in", 90.0),
		},
		"failed": {
			renew.Result{Outcome: renew.Failed, Reason: "r", Class: exchange.Misconfigured, Hint: "h"},
			members("ERROR", "failed", "r", "error_class", "misconfigured", "hint", "h"),
		},
		"blocked": {
			renew.Result{Outcome: renew.Blocked, Reason: "r", Class: exchange.CredentialDead,
				ExpiresAt: now.Add(-time.Hour)},
			members("ERROR", "blocked", "r", "error_class", "credential_dead", "expires_in", 0.0),
		},
		"waiting": {
			renew.Result{Outcome: renew.Waiting, Reason: "no credential is stored yet", Hint: "h"},
			members("WARN", "waiting", "no credential is stored yet", "hint", "h"),
		},
		"deferred for another reason than time": {
			renew.Result{Outcome: renew.Deferred, Reason: "r"}, members("WARN", "deferred", "r"),
		},
		"no time was left": {
			renew.Result{Outcome: renew.Deferred, Reason: noTimeLeft}, members("DEBUG", "deferred", noTimeLeft),
		},
	} {
		tt.result.Name = "c"
		got := logged(t, slog.LevelDebug, func(r *Runner) { r.logResult(t.Context(), tt.result) })
		if diff := cmp.Diff([]map[string]any{tt.want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestOneLineCountsTheConnectionsLeftToTheNextRun: it counts only the connections that
// the run had no time for. If there are none, the run logs no such line.
func TestOneLineCountsTheConnectionsLeftToTheNextRun(t *testing.T) {
	t.Parallel()
	left := renew.Result{Outcome: renew.Deferred, Reason: noTimeLeft}
	others := []renew.Result{
		{Outcome: renew.Issued}, {Outcome: renew.Deferred, Reason: "the provider asked for fewer requests"}, {Outcome: renew.Failed, Reason: noTimeLeft},
	}
	for name, tt := range map[string]struct {
		results []renew.Result
		want    []map[string]any
	}{
		"nothing":      {nil, nil},
		"others alone": {others, nil},
		"two are left": {append([]renew.Result{left, left}, others...), []map[string]any{leftLine(2)}},
		"only one is":  {[]renew.Result{left}, []map[string]any{leftLine(1)}},
	} {
		got := logged(t, slog.LevelDebug, func(r *Runner) { r.logLeft(t.Context(), tt.results) })
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func leftLine(n float64) map[string]any {
	return map[string]any{
		"level": "WARN", "msg": "some connections are left to the next run, which begins with the most urgent",
		"outcome": "deferred", "reason": noTimeLeft, "connections": n,
	}
}

// TestEveryLineOfADryRunSaysSo: the engine's lines do too, if the engine has a log.
func TestEveryLineOfADryRunSaysSo(t *testing.T) {
	t.Parallel()
	for _, line := range logged(t, slog.LevelInfo, func(r *Runner) {
		r.Engine.Log = r.Log
		dry := r.dry()
		dry.Log.Info("of the run")
		dry.Engine.Log.Info("of the engine")
	}) {
		if line["dry_run"] != true {
			t.Errorf("line %v", line)
		}
	}
	if dry := (&Runner{Log: slog.New(slog.DiscardHandler)}).dry(); dry.Engine.Log != nil {
		t.Error("an engine without a log was given one")
	}
}
