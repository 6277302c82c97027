package renew

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
)

// twoRequests is a provider that needs a second request for each token.
type twoRequests struct{ provider }

func (twoRequests) Finish(context.Context, exchange.Request, exchange.Issued) (exchange.Issued, error) {
	return exchange.Issued{}, errors.New("not asked")
}

// The reason of a run that may send nothing: a grant that it will try again comes first,
// and of two refusals the one with an answer.
func TestWhyNothingIsSent(t *testing.T) {
	t.Parallel()
	none := &Stopped{Failed, exchange.Misconfigured, "no credential", ""}
	refresh := credential.Session{RefreshToken: redact.New("r"), OpenedBy: "other"}
	rejected := func(r *renewal,
		grant string) string {
		return labelRejected + "20261121_" + string(r.key(grant))
	}
	answered := func(r *renewal, grant, code string) string {
		return answerLabel(answer{400, exchange.CredentialDead, code, ""}, r.key(grant))
	}
	unsureFor := func(n int, ago time.Duration) func(*renewal, string) string {
		return func(r *renewal, grant string) string { return unsureLabel(n, at.Add(-ago), r.key(grant)) }
	}
	ours, err := credential.Parse(redact.New(both))
	if err != nil {
		t.Fatal(err)
	}
	ourSeed := ours.Fingerprint(seed.Members...)
	waiting, over := unsureFor(2, time.Minute), unsureFor(2, time.Hour)
	for _, tt := range []struct {
		name    string
		session credential.Session
		grants  []exchange.Grant
		none    bool // the credential cannot be used
		two     bool // the provider needs a second request
		labels  func(r *renewal) (credential, session []string)
		want    string
		outcome Outcome
	}{
		{"no credential and no session", credential.Session{}, nil, true, false, nil, "no credential", Failed},
		{"nothing is stored", credential.Session{}, nil, false, false, nil, "the provider accepts nothing that is stored any more", Blocked},
		{"no credential, and the session was refused", refresh, nil, true, false,
			func(r *renewal) ([]string, []string) {
				return nil, []string{rejected(r, "refresh_token")}
			}, "refused the refresh token of the session on 2026-11-21", Blocked},
		{"no credential, and nothing against the session", refresh, nil, true, false, nil, "no credential", Failed},
		{"a credential that a connection may not use any more, refused", credential.Session{},
			[]exchange.Grant{client}, true, false,
			func(r *renewal) ([]string, []string) { return []string{rejected(r, "client_credentials")}, nil },
			"refused the client_credentials grant", Blocked},
		{"the first refused", credential.Session{}, []exchange.Grant{client, password}, false, false,
			func(r *renewal) ([]string, []string) { return []string{rejected(r, "client_credentials")}, nil },
			"refused the client_credentials grant", Blocked},
		{"both refused, the second with an answer", credential.Session{},
			[]exchange.Grant{client, password}, false, false,
			func(r *renewal) ([]string, []string) {
				return []string{rejected(r, "client_credentials"), rejected(r, "password"),
					answered(r, "password", "one")}, nil
			}, "refused the password grant on 2026-11-21: HTTP 400: one", Blocked},
		{"both refused, the first with an answer", credential.Session{},
			[]exchange.Grant{client, password}, false, false,
			func(r *renewal) ([]string, []string) {
				return []string{rejected(r, "client_credentials"),
					answered(r, "client_credentials", "one"), rejected(r, "password")}, nil
			}, "refused the client_credentials grant on 2026-11-21: HTTP 400: one", Blocked},
		{"both refused with an answer", credential.Session{}, []exchange.Grant{client, password}, false, false,
			func(r *renewal) ([]string, []string) {
				return []string{rejected(r, "client_credentials"), answered(r, "client_credentials", "one"),
					rejected(r, "password"), answered(r, "password", "two")}, nil
			}, "refused the client_credentials grant on 2026-11-21: HTTP 400: one", Blocked},
		{"one refused, one unclear", credential.Session{}, []exchange.Grant{client, password}, false, false,
			func(r *renewal) ([]string, []string) {
				return []string{rejected(r, "client_credentials"), waiting(r, "password")}, nil
			}, "the last answer to the password grant is not clear", Failed},
		{"refused once and unclear now", credential.Session{}, []exchange.Grant{client}, false, false,
			func(r *renewal) ([]string, []string) {
				return []string{rejected(r, "client_credentials"), waiting(r, "client_credentials")}, nil
			}, "the last answer to the client_credentials grant is not clear", Failed},
		{"unclear, and its pause has ended", credential.Session{}, []exchange.Grant{client}, false, false,
			func(r *renewal) ([]string, []string) { return []string{over(r, "client_credentials")}, nil },
			"the provider accepts nothing that is stored any more", Blocked},
		{"a password that never worked, unclear three times", credential.Session{},
			[]exchange.Grant{password}, false, false,
			func(r *renewal) ([]string, []string) {
				return []string{unsureLabel(3, at.Add(-48*time.Hour), r.key("password"))}, nil
			}, "the password grant was sent 3 times without a clear answer", Blocked},
		{"a changed seed unanswered twice, and the session refused", refresh, []exchange.Grant{seed}, false, false,
			func(r *renewal) ([]string, []string) {
				return []string{over(r, "seed")}, []string{rejected(r, "refresh_token")}
			}, "did not answer what was sent 2 times, last at 2026-11-21 15:00 UTC, and nothing stronger is stored; " +
				"Evertoken sends it again once a day, next at 2026-11-22 14:59 UTC", Failed},
		{"a changed seed unanswered once, a minute ago", refresh, []exchange.Grant{seed}, false, false,
			func(r *renewal) ([]string, []string) {
				return []string{unsureLabel(1, at.Add(-time.Minute), r.key("seed"))}, nil
			}, "the last answer to the seed grant is not clear", Failed},
		{"a changed seed refused twice in unclear words", refresh, []exchange.Grant{seed}, false, false,
			func(r *renewal) ([]string, []string) {
				return []string{waiting(r, "seed"), answered(r, "seed", "odd")}, nil
			}, "the last answer to the seed grant is not clear: HTTP 400: odd", Failed},
		{"a first seed unanswered twice", credential.Session{}, []exchange.Grant{seed}, false, false,
			func(r *renewal) ([]string, []string) { return []string{over(r, "seed")}, nil },
			"did not answer what was sent 2 times, last at 2026-11-21 15:00 UTC", Failed},
		{"a seed that opened the session, with notes that were left, and the session refused",
			credential.Session{RefreshToken: redact.New("r"), OpenedBy: ourSeed}, []exchange.Grant{seed}, false, false,
			func(r *renewal) ([]string, []string) {
				return []string{over(r, "seed")}, []string{rejected(r, "refresh_token")}
			}, "refused the refresh token of the session on 2026-11-21", Blocked},
		{"the second request refused", refresh, nil, false, true, func(r *renewal) ([]string, []string) {
			return []string{rejected(r, secondGrant)}, nil
		}, "refused the second request", Blocked},
		{"no second request", refresh, nil, false, false, func(r *renewal) ([]string, []string) {
			return []string{rejected(r, secondGrant)}, nil
		}, "the provider accepts nothing that is stored any more", Blocked},
	} {
		r := holding(t, both, tt.session)
		if tt.two {
			r.job.Provider = twoRequests{}
		}
		r.now, r.grants = at, tt.grants
		if tt.none {
			r.noCredential = none
		}
		if tt.labels != nil {
			onCredential, onSession := tt.labels(r)
			r.job.Credential.Version.Labels = onCredential
			v := r.session.Version()
			v.Labels = onSession
			r.session.Use(v)
		}
		r.token = nil // no token says that something has worked
		got := asStopped(r.nothing(false))
		if !strings.Contains(got.Reason, tt.want) || got.Outcome != tt.outcome {
			t.Errorf("%s: %s: %s", tt.name, got.Outcome, got.Reason)
		}
	}
}

// A second request that was refused stops the first, unless an operator forces it.
func TestARefusedSecondRequestStopsTheFirst(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ two, refused, forced, want bool }{
		{true, true, false, true},
		{false, true, false, false},
		{true, false, false, false},
		{true, true, true, false},
	} {
		r := holding(t, both, credential.Session{})
		r.now, r.job.Force = at, tt.forced
		if tt.two {
			r.job.Provider = twoRequests{}
		}
		if tt.refused {
			r.job.Credential.Version.Labels = []string{labelRejected + "20261121_" + string(r.key(secondGrant))}
		}
		if got := r.secondRefused(); got != tt.want {
			t.Errorf("%+v: %t", tt, got)
		}
	}
}

// How a run words an earlier answer, and what a person can do about it.
func TestAnAnswerInWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a            answer
		what         string
		text, advice string // how the advice begins
	}{
		{answer{401, exchange.CredentialDead, "invalid_client", "Do this."}, "the password grant", "HTTP 401: invalid_client", "Do this."},
		{answer{401, exchange.CredentialDead, "invalid_client", ""}, "the password grant", "HTTP 401: invalid_client", "The provider refuses the client:"},
		{answer{400, exchange.GrantDead, "unauthorized_client", ""}, "", "HTTP 400: unauthorized_client", "The provider refuses the client:"},
		{answer{400, exchange.CredentialDead, "", ""}, "the password grant", "HTTP 400", "The user name or the password is wrong"},
		{answer{401, exchange.CredentialDead, "", ""}, "the token grant", "HTTP 401", "The user name or the password is wrong"},
		{answer{400, exchange.CredentialDead, "", ""}, "the client_credentials grant", "HTTP 400", "The provider refuses the credential:"},
		{answer{400, exchange.GrantDead, "invalid_grant", ""}, "the password grant", "HTTP 400: invalid_grant", "The refresh token is expired"},
		{answer{0, exchange.Transient, "", ""}, "", "no answer", ""},
	} {
		if got := tt.a.String(); got != tt.text {
			t.Errorf("%+v is worded as %q", tt.a, got)
		}
		if got := tt.a.advice(tt.what); !strings.HasPrefix(got, tt.advice) || (got == "") != (tt.advice == "") {
			t.Errorf("%+v: %q", tt.a, got)
		}
	}
}
