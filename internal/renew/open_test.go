package renew

import (
	"context"
	"strings"
	"testing"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

// opener is a provider with the given grants, and an answer for each.
type opener struct {
	provider
	grants  []exchange.Grant
	answers map[string]*exchange.Error // by the grant's type; none is a success
	sent    *[]string
}

func (p opener) Grants(credential.Credential) ([]exchange.Grant, error) { return p.grants, nil }

func (opener) Allowed(credential.Credential) error { return nil }

func (p opener) Exchange(_ context.Context, q exchange.Request) (exchange.Issued, error) {
	*p.sent = append(*p.sent, q.Grant.Type)
	if x := p.answers[q.Grant.Type]; x != nil {
		return exchange.Issued{}, x
	}
	return exchange.Issued{AccessToken: redact.New("a"),
		RefreshToken: redact.New("by " + q.Grant.Type), IssuedAt: at}, nil
}

// Open opens a session by the first grant that is stronger than a refresh token and that
// may be sent. The session in force stays.
func TestOpenUsesTheFirstGrantThatMayBeSent(t *testing.T) {
	t.Parallel()
	dead := &exchange.Error{Status: 401, Class: exchange.CredentialDead}
	for name, tt := range map[string]struct {
		grants  []exchange.Grant
		answers map[string]*exchange.Error
		refused bool // the client was refused today
		sent    string
		opened  string
		reason  string
		outcome Outcome
		class   exchange.Class
		noTime  bool
	}{
		"one grant": {grants: []exchange.Grant{client}, sent: "client_credentials", opened: "by client_credentials", outcome: Issued},
		"a seed is not stronger": {grants: []exchange.Grant{seed, client}, sent: "client_credentials",
			opened: "by client_credentials", outcome: Issued},
		"only a seed": {grants: []exchange.Grant{seed}, reason: "nothing stronger than a refresh token is stored",
			outcome: Failed, class: exchange.Misconfigured},
		"the first fails": {grants: []exchange.Grant{client, password}, answers: map[string]*exchange.Error{"client_credentials": dead},
			sent: "client_credentials password", opened: "by password", outcome: Issued},
		"both fail": {grants: []exchange.Grant{client, password},
			answers: map[string]*exchange.Error{"client_credentials": dead, "password": dead},
			sent:    "client_credentials password", reason: "HTTP 401", outcome: Failed, class: exchange.CredentialDead},
		"the first was refused today": {grants: []exchange.Grant{client, password}, refused: true,
			sent: "password", opened: "by password", outcome: Issued},
		"the only one was refused today": {grants: []exchange.Grant{client}, refused: true,
			reason: "refused the client_credentials grant", outcome: Blocked, class: exchange.CredentialDead},
		"no time": {grants: []exchange.Grant{client}, noTime: true, reason: "no time left", outcome: Deferred},
	} {
		w := newStored(t, refreshable)
		var sent []string
		p := opener{grants: tt.grants, answers: tt.answers, sent: &sent}
		w.job.Provider = p
		w.job.Connection = w.conn
		if tt.refused {
			w.label(credentialID, secrets.Current, w.rejectedToday(client))
		}
		ctx := t.Context()
		if tt.noTime {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Second)
			defer cancel()
		}
		before := w.aws.Secret(sessionID)
		session, issued, result := w.Open(ctx, w.job)
		if strings.Join(sent, " ") != tt.sent || session.RefreshToken.Reveal() != tt.opened ||
			result.Outcome != tt.outcome ||
			result.Class != tt.class || !strings.Contains(result.Reason, tt.reason) {
			t.Errorf("%s: sent %q, opened %q: %+v", name, sent, session.RefreshToken.Reveal(), result)
		}
		if (issued.AccessToken.Reveal() == "a") != (tt.outcome == Issued) {
			t.Errorf("%s: the access token", name)
		}
		if after := w.aws.Secret(sessionID); len(after.Versions) != len(before.Versions) {
			t.Errorf("%s: the session was stored", name)
		}
		if got := strings.Contains(w.notes(credentialID, secrets.Current), labelRejected); got != (tt.refused || tt.outcome == Failed && tt.sent != "") {
			t.Errorf("%s: the credential's labels are %s", name, w.notes(credentialID, secrets.Current))
		}
	}
}

// A credential that cannot be read or may not be sent opens nothing.
func TestOpenSaysWhyTheCredentialCannotBeUsed(t *testing.T) {
	t.Parallel()
	w := newStored(t, refreshable)
	var sent []string
	w.job.Provider, w.job.Connection = opener{grants: []exchange.Grant{client}, sent: &sent}, w.conn
	w.job.Credential = &secrets.Read{Err: errDenied}
	if _, _, result := w.Open(t.Context(), w.job); result.Outcome != Failed || len(sent) > 0 ||
		!strings.Contains(result.Reason, "the credential "+credentialID) {
		t.Errorf("sent %q: %+v", sent, result)
	}
	w.job.Session = &secrets.Read{Err: errDenied}
	if _, _, result := w.Open(t.Context(), w.job); result.Outcome != Failed || len(sent) > 0 ||
		!strings.Contains(result.Reason, "the session "+sessionID) {
		t.Errorf("sent %q: %+v", sent, result)
	}
}
