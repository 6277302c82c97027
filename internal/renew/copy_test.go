package renew

import (
	"context"
	"strings"
	"testing"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

const copyID = "evertoken/c/plain"

// withCopy is a renewal whose plain copy holds a value since a time; without one the
// secret has no version.
func withCopy(t *testing.T, value string, since time.Time) *stored {
	t.Helper()
	w := newStored(t, credential.Session{})
	w.conn.PlainCopy = copyID
	w.published.AccessToken = redact.New("new")
	w.aws.CreateSecret(copyID, nil, nil)
	w.job.Copy = &secrets.Read{Err: &secrets.Error{Kind: secrets.ErrNotFound}}
	if value != "" {
		if err := w.Secrets.Put(t.Context(), copyID, secrets.FreshID(), redact.New(value)); err != nil {
			t.Fatal(err)
		}
		v, err := w.Secrets.Get(t.Context(), copyID, secrets.Current)
		if err != nil {
			t.Fatal(err)
		}
		v.Created = since
		w.job.Copy = &secrets.Read{Version: v}
	}
	return w
}

// copied is the value of the plain copy and how many versions it has.
func (w *stored) copied() (string, int) {
	x := w.aws.Secret(copyID)
	v, _ := x.Labelled(secrets.Current)
	return v.Value, len(x.Versions)
}

// A run that publishes nothing writes a plain copy that is not the published token, at
// most once in 15 minutes.
func TestAPlainCopyThatDiffersIsWritten(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		value  string
		since  time.Time
		change func(w *stored)
		want   string
		told   string // in a hint
	}{
		"it has no value":                  {"", time.Time{}, nil, "new", ""},
		"it is the same":                   {"new", at.Add(-time.Hour), nil, "new", ""},
		"it is older":                      {"old", at.Add(-time.Hour), nil, "new", ""},
		"it was just written":              {"old", at.Add(-floor + time.Second), nil, "old", ""},
		"it was written 15 minutes ago":    {"old", at.Add(-floor), nil, "new", ""},
		"nobody knows when it was written": {"old", time.Time{}, nil, "new", ""},
		"it was not read":                  {"old", at.Add(-time.Hour), func(w *stored) { w.job.Copy = nil }, "old", ""},
		"it cannot be read": {"old", at.Add(-time.Hour), func(w *stored) {
			w.job.Copy.Err = errDenied
		}, "old", "The plain copy " + copyID},
		"a dry run":          {"old", at.Add(-time.Hour), func(w *stored) { w.job.DryRun = true }, "old", ""},
		"no token":           {"old", at.Add(-time.Hour), func(w *stored) { w.token = nil }, "old", ""},
		"a rotation's token": {"old", at.Add(-time.Hour), func(w *stored) { w.keep = keepNothing }, "old", ""},
	} {
		w := withCopy(t, tt.value, tt.since)
		if tt.change != nil {
			tt.change(w)
		}
		w.mirror(t.Context())
		if got, _ := w.copied(); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		if hints := Sentences(w.hints...); (hints == "") != (tt.told == "") || !strings.Contains(hints, tt.told) {
			t.Errorf("%s: hints %q", name, hints)
		}
	}
}

// A published token is copied over the version that was read, under an id that follows
// from it: a second run that copies the same adds no version.
func TestAPublishedTokenIsCopied(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		value  string
		change func(w *stored)
		copied bool
	}{
		"over a version":   {"old", nil, true},
		"without one":      {"", nil, true},
		"it was not read":  {"", func(w *stored) { w.job.Copy = nil }, true},
		"none is declared": {"", func(w *stored) { w.conn.PlainCopy = "" }, false},
	} {
		w := withCopy(t, tt.value, at)
		if tt.change != nil {
			tt.change(w)
		}
		_, before := w.copied()
		over := secrets.Version{ARN: copyID}
		if tt.value != "" {
			over = w.job.Copy.Version
		}
		w.copyPublished(t.Context())
		w.copyPublished(t.Context())
		got, n := w.copied()
		if v, _ := w.aws.Secret(copyID).Labelled(secrets.Current); tt.copied && (got != "new" || n != before+1 ||
			v.ID != secrets.DeriveID(over.ARN, over.ID, "copy")) {
			t.Errorf("%s: %q in %d versions", name, got, n-before)
		}
		if !tt.copied && n != before {
			t.Errorf("%s: %d versions were written", name, n-before)
		}
	}
}

// Two runs that copy different tokens over the same version both write theirs. A refusal
// by AWS is reported once, with what to do.
func TestTwoRunsThatCopyDifferentTokens(t *testing.T) {
	t.Parallel()
	w := withCopy(t, "old", at)
	over := w.job.Copy.Version
	w.copyToken(t.Context(), over, redact.New("one"))
	w.copyToken(t.Context(), over, redact.New("two"))
	if got, n := w.copied(); got != "two" || n != 3 || len(w.hints) > 0 {
		t.Errorf("%q in %d versions, hints %q", got, n, w.hints)
	}
	w.refuse("PutSecretValue", copyID, "AccessDeniedException")
	tries := 0
	_ = w.Sleep.Try(t.Context(), func(context.Context) error { tries++; return errDenied })
	w.aws.ResetCalls()
	w.copyToken(t.Context(), over, redact.New("three"))
	if got := Sentences(w.hints...); !strings.Contains(got, "The plain copy could not be written") ||
		!strings.Contains(got, "Allow the function's role secretsmanager:PutSecretValue") || len(w.aws.Calls()) != tries {
		t.Errorf("%d calls, hints %q", len(w.aws.Calls()), got)
	}
}

var errDenied = &secrets.Error{Kind: secrets.ErrDenied, Op: "GetSecretValue", Code: "AccessDeniedException"}

// keepNothing receives a token and does not publish it.
func keepNothing(context.Context, credential.Token) error { return nil }
