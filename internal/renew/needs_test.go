package renew

import (
	"testing"
	"time"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// keeps is a provider that has only traits.
type keeps struct {
	exchange.Provider
	traits exchange.Traits
}

func (k keeps) Traits() exchange.Traits { return k.traits }

func TestAnIdleRunReadsOnlyTheToken(t *testing.T) {
	t.Parallel()
	published := func(change func(*credential.Token)) secrets.Read {
		token := credential.Token{AccessToken: redact.New("at"), Connection: "c", IssuedAt: t0,
			ExpiresAt: t0.Add(h), LookAfter: t0.Add(30 * m)}
		change(&token)
		return secrets.Read{Version: secrets.Version{ID: "v", Value: token.Encode(false)}}
	}
	as := func(*credential.Token) {}
	without := func(t *credential.Token) { t.LookAfter = time.Time{} }
	nothing, everything := Reads{}, Reads{Credential: true, Session: true}
	for _, tt := range []struct {
		name  string
		token secrets.Read
		after time.Duration
		force bool
		want  Reads
	}{
		{"before look_after", published(as), 29 * m, false, nothing},
		{"at look_after", published(as), 30 * m, false, everything},
		{"named", published(as), 0, true, everything},
		{"no token", secrets.Read{Err: secrets.ErrNotFound}, 0, false, everything},
		{"not readable", secrets.Read{Version: secrets.Version{Value: redact.New("x")}}, 0, false, everything},
		{"another connection's", published(func(t *credential.Token) { t.Connection = "other" }), 0, false, everything},
		{"no look_after, and a session may say more", published(without), m, false, everything},
		{"look_after too late for what is declared now", published(func(t *credential.Token) { t.LookAfter = t0.Add(59 * m) }), 50 * m, false, everything},
	} {
		j := Job{Connection: connection.Connection{Name: "c"},
			Provider: keeps{traits: exchange.Traits{Session: exchange.RequiredSession}}, Token: tt.token, Force: tt.force}
		if got := Needs(j, 5*m, t0.Add(tt.after)); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
	j := Job{Connection: connection.Connection{Name: "c"}, Provider: keeps{}, Token: published(without)}
	for after, want := range map[time.Duration]Reads{m: {}, 50 * m: {Credential: true}} {
		if got := Needs(j, 5*m, t0.Add(after)); got != want {
			t.Errorf("without a session and look_after, after %s: %+v, want %+v", after, got, want)
		}
	}
}

// Before look_after everything is read only for an operator, and where a refresh may have ended the
// token.
func TestWhatIsReadBeforeLookAfter(t *testing.T) {
	t.Parallel()
	token := credential.Token{AccessToken: redact.New("at"), Connection: "c", IssuedAt: t0,
		ExpiresAt: t0.Add(h), LookAfter: t0.Add(30 * m)}
	nothing, everything := Reads{}, Reads{Credential: true, Session: true}
	for name, tt := range map[string]struct {
		job     Job
		session exchange.SessionUse
		late    bool
		want    Reads
	}{
		"a heartbeat":                 {Job{}, exchange.RequiredSession, false, nothing},
		"forced":                      {Job{Force: true}, exchange.RequiredSession, false, everything},
		"a candidate":                 {Job{Candidate: true}, exchange.RequiredSession, false, everything},
		"a dry run":                   {Job{DryRun: true}, exchange.RequiredSession, false, everything},
		"a dry run, without sessions": {Job{DryRun: true}, exchange.NoSession, false, Reads{Credential: true}},
		"a refresh ends the token":    {Job{}, exchange.OptionalSession, true, everything},
		"a new token ends the old, and no session": {Job{}, exchange.NoSession, true, nothing},
	} {
		tt.job.Connection = connection.Connection{Name: "c"}
		tt.job.Provider = keeps{traits: exchange.Traits{Session: tt.session, RenewLate: tt.late}}
		if got := needs(tt.job, &token, 5*m, t0.Add(m)); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}
