package operator

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

func TestATypedNameFindsTheNearestConnection(t *testing.T) {
	t.Parallel()
	all := []string{"apiax-prod", "apiax-test", "flexera-prod", "crm"}
	for name, want := range map[string]string{
		"apiax-prd": "apiax-prod", "apaix-test": "apiax-test", "flexera": "flexera-prod", "crn": "crm", "salesforce": "", "": "",
	} {
		if got := nearest(name, all); got != want && name != "" {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

// What is quoted is what a shell reads.
func TestAQuotedWordIsOneWordOfTheShell(t *testing.T) {
	t.Parallel()
	words := []string{"plain", "a b", "", `it's`, `{"a":"$HOME"}`, "`x`", "a\nb", "*", "~", "-x=1,2", "é", `\`}
	var quoted []string
	for _, w := range words {
		quoted = append(quoted, quote(w))
	}
	out, err := exec.CommandContext(t.Context(), "sh", "-c",
		`for w in "$@"; do printf '%s\0' "$w"; done`, "sh").Output()
	if err != nil || len(out) != 0 {
		t.Fatalf("no POSIX shell: %v", err)
	}
	out, err = exec.CommandContext(t.Context(), "sh", "-c", `printf '%s\0' `+strings.Join(quoted, " ")).Output()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(words, strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")); diff != "" {
		t.Errorf("a shell reads (-want +got):\n%s", diff)
	}
}

func TestATimeLeftIsShownAsASpanAndABar(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Hour: "0s", 45 * time.Second: "45s", 24*time.Minute + 29*time.Second: "24m", 29*time.Minute +
			58*time.Second: "30m", time.Hour - time.Second: "1h", 3*time.Hour + 10*time.Minute: "3h10m",
		5 * time.Hour: "5h", 47*time.Hour + 59*time.Minute: "47h59m", 300 * time.Hour: "12d",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %s, want %s", d, got, want)
		}
	}
	for left, want := range map[time.Duration]string{
		0: "░░░░░░░░░░", 1: "█░░░░░░░░░", 30 * time.Minute: "█████░░░░░", time.Hour: "██████████", 2 * time.Hour: "██████████", -1: "░░░░░░░░░░",
	} {
		if got := bar(left, time.Hour); got != want {
			t.Errorf("bar(%v) = %s, want %s", left, got, want)
		}
	}
}

func TestAPolicysReadersAreListed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		policy string
		want   []string
	}{
		"none":           {"", nil},
		"one role":       {`{"Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:role/app"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}`, []string{"arn:aws:iam::1:role/app"}},
		"lists":          {`{"Statement":[{"Effect":"Allow","Principal":{"AWS":["b","a"],"Service":"ecs.amazonaws.com"},"Action":["secretsmanager:DescribeSecret","secretsmanager:Get*"]}]}`, []string{"a", "b", "ecs.amazonaws.com"}},
		"anybody":        {`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*"}]}`, []string{"*"}},
		"by a condition": {`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"secretsmanager:*","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}}]}`, []string{"whom a condition allows"}},
		"denied":         {`{"Statement":[{"Effect":"Deny","Principal":"*","Action":"*"}]}`, nil},
		"another right":  {`{"Statement":[{"Effect":"Allow","Principal":{"AWS":"a"},"Action":"secretsmanager:PutSecretValue"}]}`, nil},
	} {
		if diff := cmp.Diff(tt.want, policyReaders(tt.policy)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

var start = time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)

// published is a token of an hour that was issued at start, and is renewed after
// 35 minutes.
func publishedToken(change ...func(*credential.Token)) secrets.Read {
	t := credential.Token{AccessToken: redact.New("canary-token"), TokenType: "Bearer", Provider: "apiax",
		Connection: "x",
		IssuedAt:   start, RenewAfter: start.Add(35 * time.Minute), ExpiresAt: start.Add(time.Hour)}
	for _, f := range change {
		f(&t)
	}
	return secrets.Read{Version: secrets.Version{Value: t.Encode(false)}}
}

func failed(kind secrets.Kind) error {
	return &secrets.Error{Kind: kind, Op: "GetSecretValue", Code: "X"}
}

func TestEveryStateOfAConnectionHasItsVerdict(t *testing.T) {
	t.Parallel()
	c := connection.Connection{Name: "x", Provider: "apiax", Credential: "evertoken/x/credential",
		Token: "evertoken/x/token"}
	stored := secrets.Description{Labels: map[string][]string{"v1": {secrets.Current}}}
	refused := func(day string) secrets.Description {
		return secrets.Description{Labels: map[string][]string{"v1": {secrets.Current, rejected + day +
			"_password_0123abcd"}, "v0": {rejected + "20261119_password_0123abcd"}}}
	}
	withEnd := func(at time.Time) secrets.Read {
		return secrets.Read{Version: secrets.Version{Value: redact.New(`{"access_token":"canary","issued_at":"2026-11-21T16:00:00Z","renew_after":"2026-11-21T16:35:00Z","expires_at":"2026-11-21T17:00:00Z","needs_person_at":"` + at.Format(time.RFC3339) + `"}`)}}
	}
	nothing := secrets.Read{Err: failed(secrets.ErrNotFound)}
	for _, tt := range []struct {
		name   string
		seen   seen
		after  time.Duration
		state  string
		person bool
		reason string
		unread int
	}{
		{"fresh", seen{token: publishedToken(), credential: stored}, 10 * time.Minute, stateFresh, false, "", 0},
		{"due", seen{token: publishedToken(), credential: stored}, 35 * time.Minute, stateDue, false, "", 0},
		{"late", seen{token: publishedToken(), credential: stored}, 51 * time.Minute, stateLate, true,
			"has 9m left, less than min_remaining (10m)", 0},
		{"expired", seen{token: publishedToken(), credential: stored}, time.Hour, stateExpired, true,
			"expired 0s ago", 0},
		{"none yet", seen{token: nothing, credential: stored}, 0, stateNone, false, "no token is published yet",
			0},
		{"another's token", seen{token: publishedToken(func(t *credential.Token) { t.Connection = "y" }),
			credential: stored}, 0, stateNone, false, "not this connection's token", 0},
		{"no credential", seen{token: nothing, credential: secrets.Description{}}, 0, stateWaiting, true,
			"no credential is stored", 0},
		{"no secret", seen{token: nothing, credentialErr: failed(secrets.ErrNotFound)}, 0, stateWrong, true,
			"evertoken/x/credential does not exist", 0},
		{"to be deleted", seen{token: publishedToken(), credentialErr: failed(secrets.ErrDeleted)}, 0, stateWrong,
			true, "is marked for deletion", 0},
		{"refused, dead", seen{token: publishedToken(), credential: refused("20261118")}, time.Hour, stateExpired,
			true, "refused the stored credential on 2026-11-18", 0},
		{"refused today, alive", seen{token: publishedToken(), credential: refused("20261121")}, time.Minute,
			stateFresh, true, "refused the stored credential on 2026-11-21", 0},
		{"refused long ago, alive", seen{token: publishedToken(), credential: refused("20261118")}, time.Minute,
			stateFresh, false, "", 0},
		{"ends soon", seen{token: withEnd(start.Add(240 * time.Hour)), credential: stored}, 0, stateFresh, true,
			"expires in 10d", 0},
		{"ends later", seen{token: withEnd(start.Add(480 * time.Hour)), credential: stored}, 0, stateFresh, false,
			"", 0},
		{"token not to be read", seen{token: secrets.Read{Err: failed(secrets.ErrDenied)}, credential: stored}, 0,
			stateUnread, false, "", 1},
		{"labels not to be read", seen{token: publishedToken(), credentialErr: failed(secrets.ErrDenied)}, 0,
			stateFresh, false, "", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := judge(c, tt.seen, start.Add(tt.after))
			if e.State != tt.state || e.NeedsPerson != tt.person || !strings.Contains(e.Reason, tt.reason) ||
				len(e.Unread) != tt.unread {
				t.Errorf("judge: %+v, want %+v", e, tt)
			}
			if e.NeedsPerson && e.Next == "" {
				t.Error("it does not say what to do")
			}
		})
	}
}
