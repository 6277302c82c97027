package session

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"evertoken/internal/credential"
	fakeaws "evertoken/internal/fake/aws"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

const (
	secretID  = "evertoken/c1/session"
	parameter = "/evertoken/rescue/c1"
	denied    = "AccessDeniedException"
)

// world is the fake of AWS with one session secret, and the clock.
type world struct {
	*fakeaws.Server
	t     *testing.T
	now   time.Time
	hints []string
	ids   map[string]string // of versions by the name that a state gives them
	store *secrets.Store
}

func newWorld(t *testing.T, state string) *world {
	t.Helper()
	w := &world{t: t, now: now, ids: map[string]string{}}
	server, err := fakeaws.New(fakeaws.Options{Now: func() time.Time { return w.now }})
	if err != nil {
		t.Fatalf("starting the fake: %v", err)
	}
	t.Cleanup(server.Close)
	w.Server, w.store = server, secrets.NewStore(secretsmanager.NewFromConfig(sdk(server)), nil)
	w.CreateSecret(secretID, nil, nil)
	w.build(state)
	return w
}

func sdk(server *fakeaws.Server) aws.Config {
	c := server.AWSConfig()
	c.Retryer = func() aws.Retryer { return retry.AddWithMaxAttempts(secrets.Retryer()(), 1) }
	return c
}

// build stores versions a minute apart, from an hour ago on. A state is written as
// "rt-1: PREVIOUS EXCHANGE | rt-2: CURRENT SENT_1_155000": what each version
// holds, and its labels without their prefix and the day.
func (w *world) build(state string) {
	w.t.Helper()
	w.now = now.Add(-time.Hour)
	for part := range strings.SplitSeq(state, " | ") {
		name, labels, _ := strings.Cut(part, ":")
		if name == "" {
			continue
		}
		id := secrets.FreshID()
		w.ids[name] = id
		var full []string
		for _, label := range strings.Fields(labels) {
			switch label {
			case "PREVIOUS": // it becomes that when the next one is stored
				full = append(full, secrets.Current)
			case "CURRENT", "PENDING":
				full = append(full, "AWS"+label)
			default:
				full = append(full, fullLabel(label))
			}
		}
		if err := w.store.Put(w.t.Context(), secretID, id, w.document(name), full...); err != nil {
			w.t.Fatalf("storing %s: %v", part, err)
		}
		w.now = w.now.Add(time.Minute)
	}
	w.now = now
}

func fullLabel(label string) string {
	for _, prefix := range []string{"SEEN_", "SENT_"} {
		if rest, ok := strings.CutPrefix(label, prefix); ok {
			n, at, _ := strings.Cut(rest, "_")
			return "EVERTOKEN_" + prefix + n + "_20261121T" + at + "Z"
		}
	}
	return "EVERTOKEN_" + label
}

func (w *world) document(name string) redact.Secret {
	switch {
	case name == "nothing":
		return redact.New("{}")
	case name == "broken":
		return redact.New("not a document")
	case strings.HasPrefix(name, "holder"), name == "opening":
		return credential.Session{OpeningAt: w.now, OpeningWith: "seed"}.EncodeUnique(name)
	}
	return session(name).Encode()
}

// session is the session of a refresh token; "stranger" is one that another
// credential opened.
func session(refresh string) credential.Session {
	s := credential.Session{RefreshToken: redact.New(refresh), OpenedBy: "cred",
		StartedAt: now.Add(-24 * time.Hour)}
	switch refresh {
	case "stranger":
		s.OpenedBy = "another"
	case "byhand": // an operator wrote it
		s.OpenedBy = ""
	}
	return s
}

// state writes the labelled versions as build reads them.
func (w *world) state() string {
	var out []string
	for _, v := range w.Secret(secretID).Versions {
		if len(v.Labels) == 0 {
			continue
		}
		doc, err := credential.ParseSession(redact.New(v.Value))
		name := doc.RefreshToken.Reveal()
		switch {
		case err != nil:
			name = "broken"
		case slices.Contains(v.Labels, LabelHolder):
			name = "holder"
		case doc.Opening():
			name = "opening"
		case name == "":
			name = "nothing"
		}
		text := name + ":"
		for _, label := range v.Labels {
			label = strings.TrimPrefix(strings.TrimPrefix(label, "EVERTOKEN_"), "AWS")
			text += " " + strings.TrimSuffix(strings.Replace(label, "20261121T", "", 1), "Z")
		}
		out = append(out, text)
	}
	return strings.Join(out, " | ")
}

func (w *world) is(what, want string) {
	w.t.Helper()
	if got := w.state(); got != want {
		w.t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// keeper is a run that has read the session in force.
func (w *world) keeper() *Keeper {
	k := &Keeper{
		Secrets: w.store, Parameters: secrets.NewParameters(ssm.NewFromConfig(sdk(w.Server))),
		Now: func() time.Time { return w.now }, Wait: func(context.Context, time.Duration) error { return nil },
		ID: secretID, Rescue: parameter, RunLasts: lasts,
		Fits:    func(s credential.Session) bool { return s.OpenedBy == "cred" },
		Refused: func(labels []string) bool { return slices.Contains(labels, "EVERTOKEN_REFUSED") },
		IsNote:  func(label string) bool { return strings.HasPrefix(label, "EVERTOKEN_NOTE") },
		Hint:    func(s string) { w.hints = append(w.hints, s) },
		Exists:  true,
	}
	v, err := w.store.Get(w.t.Context(), secretID, secrets.Current)
	if err == nil {
		k.Use(v)
	} else if secrets.ErrorKind(err) != secrets.ErrNotFound {
		w.t.Fatal(err)
	}
	return k
}

// run is what Begin is given where a test changes nothing in it.
func run(terms Terms) Run {
	if terms.OpensWith == "" {
		terms.OpensWith = "seed"
	}
	return Run{
		Check:   func(secrets.Description, Stage) error { return nil },
		Changed: func(context.Context) error { return nil },
		Terms:   func() Terms { return terms },
	}
}

// claimed is a run that has claimed the session.
func (w *world) claimed() *Keeper {
	w.t.Helper()
	k := w.keeper()
	if err := k.Begin(w.t.Context(), run(Terms{})); err != nil || !k.Claimed() {
		w.t.Fatalf("claiming: %v, %t", err, k.Claimed())
	}
	return k
}

func (w *world) refuse(operation string) *fakeaws.Fault {
	f := &fakeaws.Fault{Operation: operation, Kind: fakeaws.Refuse, Code: denied}
	w.Inject(f)
	return f
}

// rescue puts a session into the rescue parameter, based on the version of a name.
func (w *world) rescue(refresh, base string) {
	b, err := json.Marshal(rescued{w.ids[base], json.RawMessage(session(refresh).Encode().Reveal())})
	if err != nil {
		w.t.Fatal(err)
	}
	w.PutParameter(parameter, "SecureString", string(b))
}

// rescuedToken is the refresh token in the rescue parameter, "" if there is none.
func (w *world) rescuedToken() string {
	p, ok := w.Parameter(parameter)
	if !ok || p.Value == emptied {
		return ""
	}
	var found rescued
	if err := json.Unmarshal([]byte(p.Value), &found); err != nil {
		w.t.Fatal(err)
	}
	doc, err := credential.ParseSession(redact.New(string(found.Session)))
	if err != nil {
		w.t.Fatal(err)
	}
	return doc.RefreshToken.Reveal()
}

func (w *world) hinted(part string) bool {
	return slices.ContainsFunc(w.hints, func(h string) bool { return strings.Contains(h, part) })
}

// came is the result of Begin as text.
func came(k *Keeper, err error) string {
	switch {
	case err != nil:
		return fmt.Sprintf("%T", err)
	case k.Claimed():
		return "claimed"
	case k.Beside():
		return "beside"
	}
	return "nothing"
}

// current is the id of AWSCURRENT.
func (w *world) current() string {
	v, _ := w.Secret(secretID).Labelled(secrets.Current)
	return v.ID
}
