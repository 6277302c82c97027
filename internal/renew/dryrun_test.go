package renew

import (
	"strings"
	"testing"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/secrets"
)

// A dry run says by which grant a run would renew, and what keeps it from storing the
// session.
func TestADryRunSaysWhatARunWouldDo(t *testing.T) {
	t.Parallel()
	p := plan{attempts: []attempt{{grant: client}}}
	for name, tt := range map[string]struct {
		change func(w *stored)
		reason string // why it could not
		writes string // what it does not prove that it can write
	}{
		"with a session":                     {func(*stored) {}, "", "session and token."},
		"with a session that is not claimed": {func(w *stored) { w.traits.SingleUse = false }, "", "it can write: token."},
		"the session is a replica":           {func(w *stored) { w.aws.SetReplica(sessionID, "eu-west-1") }, "the session secret is a replica", ""},
		"a replica that is not claimed": {func(w *stored) {
			w.aws.SetReplica(sessionID, "eu-west-1")
			w.traits.SingleUse = false
		}, "", "it can write: token."},
		"the session cannot be described": {func(w *stored) {
			w.refuse("DescribeSecret", sessionID, "AccessDeniedException")
		}, "the session " + sessionID, ""},
	} {
		w := newStored(t, refreshable)
		tt.change(w)
		result, err := w.dryRun(t.Context(), p)
		if tt.reason != "" {
			if err == nil || !strings.HasPrefix(err.Error(), tt.reason) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || result.Outcome != Issued || result.Grant != "client_credentials" || !strings.HasSuffix(result.Hint, tt.writes) {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
}

// A dry run tells the state of the replicas of each secret that Evertoken writes.
func TestADryRunTellsOfReplicas(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(w *stored)
		want   []string
	}{
		"none": {func(*stored) {}, nil},
		"both": {func(w *stored) {
			w.aws.SetReplica(sessionID, "eu-west-1")
			w.aws.SetReplica(tokenID, "eu-west-1")
		}, []string{"The session is a replica of the secret in eu-west-1.", "The token is a replica of the secret in eu-west-1."}},
		"a session that is not there": {func(w *stored) {
			w.aws.SetReplica(sessionID, "eu-west-1")
			w.session.Exists = false
		}, nil},
		"a token in a parameter": {func(w *stored) {
			w.aws.SetReplica(tokenID, "eu-west-1")
			w.conn.Token = ""
		}, nil},
		"one cannot be read": {func(w *stored) {
			w.aws.SetReplica(tokenID, "eu-west-1")
			w.refuse("DescribeSecret", sessionID, "AccessDeniedException")
		}, []string{"The token is a replica of the secret in eu-west-1."}},
	} {
		w := newStored(t, refreshable)
		tt.change(w)
		w.tellReplicas(t.Context())
		if got := strings.Join(w.hints, " "); got != strings.Join(tt.want, " ") {
			t.Errorf("%s: hints %q", name, w.hints)
		}
	}
}

// A connection that is left to a later run is answered with what its token tells, and so is
// one whose token is looked at alone.
func TestATokenAloneAnswersForItsConnection(t *testing.T) {
	t.Parallel()
	published := tokenOf("a", at.Add(time.Hour))
	published.LookAfter = at.Add(30 * time.Minute)
	e := &Engine{Every: 5 * time.Minute, Now: func() time.Time { return at }}
	job := Job{Connection: connection.Connection{Name: "c"}, Provider: provider{}}
	job.Token.Version = secrets.Version{ID: "v", Value: published.Encode(false)}

	deferred := e.Defer(job, "later")
	if deferred.Outcome != Deferred || deferred.Reason != "later" || !deferred.ExpiresAt.Equal(published.ExpiresAt) {
		t.Errorf("deferred: %+v", deferred)
	}
	reads, glance := e.Glance(job)
	if reads != (Reads{}) || glance.Outcome != Fresh || glance.Reason != reasonFresh || !glance.ExpiresAt.Equal(published.ExpiresAt) {
		t.Errorf("at a glance: %+v, reads %+v", glance, reads)
	}

	job.Token.Err = errDenied // what came with it is not looked at
	if deferred = e.Defer(job, "later"); !deferred.ExpiresAt.IsZero() || deferred.Hint != "" {
		t.Errorf("deferred without a token: %+v", deferred)
	}
	if reads, glance = e.Glance(job); reads != (Reads{Credential: true, Session: true}) || !glance.ExpiresAt.IsZero() || glance.Reason != "" {
		t.Errorf("at a glance without a token: %+v, reads %+v", glance, reads)
	}
}
