package issue_test

import (
	"encoding/json"
	"strings"
	"testing"

	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// tried stores a credential as the candidate and tries it.
func tried(t *testing.T, w *fakeworld.World, name, password string) issue.Entry {
	t.Helper()
	value, err := json.Marshal(map[string]string{"username": name, "password": password})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Store().Put(t.Context(), "evertoken/"+name+"/credential", secrets.FreshID(), redact.New(string(value)), issue.LabelCandidate); err != nil {
		t.Fatal(err)
	}
	return fakeworld.Entry(w.Run(issue.Event{Connections: []string{name}, Candidate: true}), name)
}

// A candidate that works is used for the session and the token, and leaves
// AWSCURRENT to the caller.
func TestACandidateThatWorksIsUsed(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Apiax("apiax")
	w.Tick()
	before, _ := w.Token("apiax")
	current, _ := w.AWS.Secret("evertoken/apiax/credential").Labelled(secrets.Current)
	password := w.IDP.Apiax().SetPassword("apiax", "")
	if e := tried(t, w, "apiax", password); e.Outcome != "issued" {
		t.Fatalf("outcome %+v", e)
	}
	after, _ := w.Token("apiax")
	if after.AccessToken.Equal(before.AccessToken) {
		t.Error("no new token is published")
	}
	if now, _ := w.AWS.Secret("evertoken/apiax/credential").Labelled(secrets.Current); now.ID != current.ID {
		t.Error("the run moved AWSCURRENT")
	}
}

// A candidate that is refused changes nothing: the connection continues.
func TestARefusedCandidateChangesNothing(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Apiax("apiax")
	w.Tick()
	token, _ := w.Token("apiax")
	session, _ := w.Session("apiax")
	e := tried(t, w, "apiax", "wrong")
	if e.Outcome != "failed" || e.ErrorClass != "credential_dead" {
		t.Fatalf("outcome %+v", e)
	}
	if now, _ := w.Token("apiax"); !now.AccessToken.Equal(token.AccessToken) {
		t.Error("the token changed")
	}
	if now, _ := w.Session("apiax"); !now.RefreshToken.Equal(session.RefreshToken) {
		t.Error("the session changed")
	}
	for _, v := range w.AWS.Secret("evertoken/apiax/credential").Versions {
		for _, label := range v.Labels {
			if strings.HasPrefix(label, "EVERTOKEN_REJECTED") {
				t.Errorf("a version has the label %s", label)
			}
		}
	}
	if report := w.Run(issue.Event{Connections: []string{"apiax"}, Force: true}); report.Issued != 1 {
		t.Errorf("afterwards: %+v", report)
	}
}

func TestARunWithoutACandidateNamesTheMissingLabel(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Apiax("apiax")
	w.Tick()
	e := fakeworld.Entry(w.Run(issue.Event{Connections: []string{"apiax"}, Candidate: true}), "apiax")
	if e.Outcome != "failed" || e.ErrorClass != "misconfigured" ||
		!strings.Contains(e.Reason, issue.LabelCandidate) || e.Hint == "" {
		t.Errorf("outcome %+v", e)
	}
}
