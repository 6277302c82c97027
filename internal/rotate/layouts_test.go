package rotate_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
)

// subject is a secret in one of its roles, and the values that a version of it
// may hold.
type subject struct {
	*world
	secret string
	value  func(kind string) string
}

var subjects = map[string]func(t *testing.T) subject{
	"token": func(t *testing.T) subject {
		w := newWorld(t)
		w.OAuth2("c", "client_credentials")
		life := map[string]time.Duration{"cur": 20 * time.Minute, "new": time.Hour,
			"older": 10 * time.Minute, "dead": -time.Minute, "other": time.Hour}
		return subject{w, "evertoken/c/token", func(kind string) string {
			d := credential.Token{
				AccessToken: redact.New(kind), TokenType: "Bearer", Connection: "c", Provider: "oauth2",
				IssuedAt: w.Clock.Now().Add(-time.Hour), ExpiresAt: w.Clock.Now().Add(life[kind]),
			}
			if kind == "other" {
				d.Connection = "d"
			}
			return d.Encode(false).Reveal()
		}}
	},
	"session": func(t *testing.T) subject {
		w := newWorld(t)
		w.Apiax("c")
		opener := credentialOf(t,
			w.value("evertoken/c/credential",
				"AWSCURRENT")).Fingerprint(credential.Username, credential.Password)
		age := map[string]time.Duration{"cur": 24 * time.Hour, "new": time.Minute,
			"older": 48 * time.Hour, "dead": 15 * 24 * time.Hour, "other": time.Minute}
		return subject{w, "evertoken/c/session", func(kind string) string {
			at := w.Clock.Now().Add(-age[kind])
			s := credential.Session{RefreshToken: redact.New(kind), StartedAt: at, RefreshedAt: at, OpenedBy: opener}
			if kind == "other" {
				s.OpenedBy = strings.Repeat("0", 64)
			}
			return s.Encode().Reveal()
		}}
	},
	"credential": func(t *testing.T) subject {
		w := newWorld(t)
		account, cur := w.flexera("c")
		made := map[string]map[string]string{"cur": cur}
		return subject{w, "evertoken/c/credential", func(kind string) string {
			if made[kind] == nil {
				f := w.IDP.Flexera()
				clientID, secret := f.AddClient(account)
				made[kind] = map[string]string{"client_id": clientID, "client_secret": secret, "note": "kept"}
				switch kind {
				case "dead":
					f.RevokeClient(clientID)
				case "other":
					made[kind]["note"] = "changed"
				}
			}
			return marshal(made[kind])
		}}
	},
}

// layout is labels and values as a rotation may find them. "tok" is the version
// that the rotation makes.
type layout struct {
	name  string
	build func(s subject)
	// want has, for each step alone on that layout, the error's type, the exchanges made
	// and the labels afterwards, by role; the entry "" is for the roles not named.
	want map[string][4]string
}

func (s subject) store(version, kind string, labels ...string) {
	s.Helper()
	value := kind
	if kind != "junk" {
		value = s.value(kind)
	}
	s.put(s.secret, version, value, labels...)
}

// prepared is a current value and the empty version of a rotation.
func (s subject) prepared() {
	s.Helper()
	if !strings.HasSuffix(s.secret, "credential") { // that one has it already
		s.store("cur", "cur")
	}
	s.prepare(s.secret, "tok")
}

func (s subject) stored(kind string) {
	s.Helper()
	s.prepared()
	s.store("tok", kind, "AWSPENDING")
	s.Clock.Advance(time.Minute)
}

var layouts = []layout{
	{name: "prepared", build: func(s subject) { s.prepared() }, want: map[string][4]string{
		"": {"ok 1 | cur:CURRENT tok:PENDING", "Transient 0 | cur:CURRENT tok?:PENDING", "ok 0 | cur:CURRENT tok?:PENDING", "Transient 0 | cur:CURRENT tok?:PENDING"},
	}},
	{name: "stored", build: func(s subject) { s.stored("new") }, want: map[string][4]string{
		"":           {"ok 0 | cur:CURRENT tok:PENDING", "ok 0 | cur:CURRENT tok:PENDING", "ok 0 | cur:CURRENT tok:PENDING", "ok 0 | cur:PREVIOUS tok:CURRENT"},
		"credential": {"ok 0 | cur:CURRENT tok:PENDING", "ok 0 | cur:CURRENT tok:PENDING", "ok 1 | cur:CURRENT tok:PENDING", "ok 0 | cur:PREVIOUS tok:CURRENT"},
	}},
	{name: "stored, the same value", build: func(s subject) { s.stored("cur") }, want: map[string][4]string{
		"": {"ok 0 | cur:CURRENT tok:PENDING", "ok 0 | cur:CURRENT tok:PENDING", "ok 0 | cur:CURRENT tok:PENDING", "ok 0 | cur:PREVIOUS tok:CURRENT"},
	}},
	{name: "stored, dead, young", build: func(s subject) { s.stored("dead") }, want: map[string][4]string{
		"":           {"ok 0 | cur:CURRENT tok:PENDING", "RotationStuck 0 | cur:CURRENT", "RotationStuck 0 | cur:CURRENT", "RotationStuck 0 | cur:CURRENT"},
		"credential": {"ok 0 | cur:CURRENT tok:PENDING", "ok 0 | cur:CURRENT tok:PENDING", "Transient 7 | cur:CURRENT tok:PENDING", "ok 0 | cur:PREVIOUS tok:CURRENT"},
	}},
	{name: "stored, dead", build: func(s subject) { s.stored("dead"); s.Clock.Advance(settle) },
		want: map[string][4]string{
			"":           {"ok 0 | cur:CURRENT tok:PENDING", "RotationStuck 0 | cur:CURRENT", "RotationStuck 0 | cur:CURRENT", "RotationStuck 0 | cur:CURRENT"},
			"credential": {"ok 0 | cur:CURRENT tok:PENDING", "ok 0 | cur:CURRENT tok:PENDING", "CredentialDead 7 | cur:CURRENT", "ok 0 | cur:PREVIOUS tok:CURRENT"},
		}},
	{name: "stored, of something else", build: func(s subject) { s.stored("other") }, want: map[string][4]string{
		"": {"ok 0 | cur:CURRENT tok:PENDING", "RotationStuck 0 | cur:CURRENT", "RotationStuck 0 | cur:CURRENT", "RotationStuck 0 | cur:CURRENT"},
	}},
	{name: "stored, no document", build: func(s subject) { s.stored("junk") }, want: map[string][4]string{
		"": {"ok 0 | cur:CURRENT tok:PENDING", "RotationStuck 0 | cur:CURRENT", "RotationStuck 0 | cur:CURRENT", "RotationStuck 0 | cur:CURRENT"},
	}},
	{name: "stored, older than what was stored since", build: func(s subject) { s.stored("older") },
		want: map[string][4]string{
			"":           {"ok 0 | cur:CURRENT tok:PENDING", "RotationStuck 0 | cur:CURRENT", "RotationStuck 0 | cur:CURRENT", "RotationStuck 0 | cur:CURRENT"},
			"credential": {"ok 0 | cur:CURRENT tok:PENDING", "ok 0 | cur:CURRENT tok:PENDING", "ok 1 | cur:CURRENT tok:PENDING", "ok 0 | cur:PREVIOUS tok:CURRENT"},
		}},
	{name: "promoted, label left", build: func(s subject) {
		s.stored("new")
		s.move(s.secret, "AWSCURRENT", "tok", "cur")
	}, want: map[string][4]string{
		"": {"ok 0 | cur:PREVIOUS tok:CURRENT+PENDING", "ok 0 | cur:PREVIOUS tok:CURRENT+PENDING", "ok 0 | cur:PREVIOUS tok:CURRENT+PENDING", "ok 0 | cur:PREVIOUS tok:CURRENT"},
	}},
	{name: "promoted", build: func(s subject) {
		s.stored("new")
		s.move(s.secret, "AWSCURRENT", "tok", "cur")
		s.move(s.secret, "AWSPENDING", "", "tok")
	}, want: map[string][4]string{
		"": {"ok 0 | cur:PREVIOUS tok:CURRENT", "ok 0 | cur:PREVIOUS tok:CURRENT", "ok 0 | cur:PREVIOUS tok:CURRENT", "ok 0 | cur:PREVIOUS tok:CURRENT"},
	}},
	{name: "moved back", build: func(s subject) {
		s.stored("new")
		s.move(s.secret, "AWSCURRENT", "tok", "cur")
		s.move(s.secret, "AWSCURRENT", "cur", "tok")
	}, want: map[string][4]string{
		"": {"Refused 0 | cur:CURRENT tok:PREVIOUS", "Refused 0 | cur:CURRENT tok:PREVIOUS", "Refused 0 | cur:CURRENT tok:PREVIOUS", "Refused 0 | cur:CURRENT tok:PREVIOUS"},
	}},
	{name: "moved back, rotated again", build: func(s subject) {
		s.stored("new")
		s.move(s.secret, "AWSCURRENT", "tok", "cur")
		s.move(s.secret, "AWSCURRENT", "cur", "tok")
		s.move(s.secret, "AWSPENDING", "tok", "")
	}, want: map[string][4]string{
		"":           {"ok 0 | cur:CURRENT tok:PENDING+PREVIOUS", "ok 0 | cur:CURRENT tok:PENDING+PREVIOUS", "ok 0 | cur:CURRENT tok:PENDING+PREVIOUS", "ok 0 | cur:PREVIOUS tok:CURRENT"},
		"credential": {"ok 0 | cur:CURRENT tok:PENDING+PREVIOUS", "ok 0 | cur:CURRENT tok:PENDING+PREVIOUS", "ok 1 | cur:CURRENT tok:PENDING+PREVIOUS", "ok 0 | cur:PREVIOUS tok:CURRENT"},
	}},
	{name: "prepared, another version has the label", build: func(s subject) {
		s.prepared()
		s.store("hand", "new", "AWSPENDING")
	}, want: map[string][4]string{
		"": {"Refused 0 | cur:CURRENT hand:PENDING", "Refused 0 | cur:CURRENT hand:PENDING", "Refused 0 | cur:CURRENT hand:PENDING", "Refused 0 | cur:CURRENT hand:PENDING"},
	}},
	{name: "prepared, the label was removed", build: func(s subject) {
		s.prepared()
		s.move(s.secret, "AWSPENDING", "", "tok")
	}, want: map[string][4]string{
		"": {"Refused 0 | cur:CURRENT", "Refused 0 | cur:CURRENT", "Refused 0 | cur:CURRENT", "Refused 0 | cur:CURRENT"},
	}},
	{name: "stored, and a person promoted another", build: func(s subject) {
		s.stored("new")
		s.store("hand", "cur", "MINE")
		s.move(s.secret, "AWSCURRENT", "hand", "cur")
		s.move(s.secret, "MINE", "", "hand")
	}, want: map[string][4]string{
		"":           {"ok 0 | cur:PREVIOUS tok:PENDING hand:CURRENT", "ok 0 | cur:PREVIOUS tok:PENDING hand:CURRENT", "ok 0 | cur:PREVIOUS tok:PENDING hand:CURRENT", "ok 0 | tok:CURRENT hand:PREVIOUS"},
		"credential": {"ok 0 | cur:PREVIOUS tok:PENDING hand:CURRENT", "ok 0 | cur:PREVIOUS tok:PENDING hand:CURRENT", "ok 1 | cur:PREVIOUS tok:PENDING hand:CURRENT", "ok 0 | tok:CURRENT hand:PREVIOUS"},
	}},
}

func TestEveryStepOnEveryLayoutOfLabels(t *testing.T) {
	t.Parallel()
	for role, begin := range subjects {
		for _, l := range layouts {
			for i, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
				t.Run(role+"/"+l.name+"/"+step, func(t *testing.T) {
					t.Parallel()
					s := begin(t)
					l.build(s)
					s.IDP.ResetRequests()
					before := s.versions()
					outcome := s.step(step, s.secret, "tok")
					after := s.versions()
					for version, value := range before {
						if after[version] != value {
							t.Errorf("the value of version %s was replaced", version)
						}
					}
					want, ok := l.want[role]
					if !ok {
						want = l.want[""]
					}
					check(t, "outcome", want[i], fmt.Sprintf("%s %d | %s", outcome, s.Exchanges(), s.labels(s.secret)))
				})
			}
		}
	}
}

// versions are the values that the secret's versions have.
func (s subject) versions() map[string]string {
	out := map[string]string{}
	for _, v := range s.AWS.Secret(s.secret).Versions {
		if v.HasValue {
			out[v.ID] = v.Value
		}
	}
	return out
}

// TestEveryLayoutOfLabelsEndsInANewRotation after a retry by Secrets
// Manager. Only if another version has AWSPENDING must a person first run the command that
// the error names.
func TestEveryLayoutOfLabelsEndsInANewRotation(t *testing.T) {
	t.Parallel()
	for role, begin := range subjects {
		for _, l := range layouts {
			t.Run(role+"/"+l.name, func(t *testing.T) {
				t.Parallel()
				s := begin(t)
				l.build(s)
				s.IDP.ResetRequests()
				_ = s.AWS.RetryRotation(s.secret) // may fail, or find nothing to do
				s.Clock.Advance(2 * time.Hour)
				if l.name == "prepared, another version has the label" {
					s.move(s.secret, "AWSPENDING", "", "hand")
				}
				if role == "credential" { // the clients that a layout stores are the operator's
					s.own(s.secret, s.IDP.Flexera().Clients(org, 2263)...)
				}
				err := s.rotateSecret(s.secret, "next")
				if err != nil { // the earlier one is not complete: Secrets Manager tries that first
					_ = s.AWS.RetryRotation(s.secret)
					err = s.rotateSecret(s.secret, "next")
				}
				if err != nil {
					t.Fatalf("a new rotation cannot begin: %v", err)
				}
				v, _ := s.AWS.Secret(s.secret).Labelled("AWSCURRENT")
				check(t, "promoted", id("next"), v.ID)
				if pending, found := s.AWS.Secret(s.secret).Labelled("AWSPENDING"); found {
					t.Errorf("AWSPENDING is still on %s", pending.ID)
				}
				if role == "credential" {
					clients := s.IDP.Flexera().Clients(org, 2263)
					check(t, "clients", 2, len(clients))
				}
			})
		}
	}
}
