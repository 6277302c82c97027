package corpus

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// entry is one report; see testdata/README.md.
type entry struct {
	ID         string                    `json:"id"`
	Source     string                    `json:"source"`
	Settings   json.RawMessage           `json:"settings"`
	Connection map[string]any            `json:"connection"`
	Credential json.RawMessage           `json:"credential"`
	Answers    []answer                  `json:"answers"`
	Paths      map[string]answer         `json:"paths"`
	Server     string                    `json:"server"`
	Declare    map[string]map[string]any `json:"declare"`
	Runs       []string                  `json:"runs"`
	RestOfDay  bool                      `json:"rest_of_day"`
	Want       want                      `json:"want"`
	NotYet     string                    `json:"not_yet"`
}

type want struct {
	Outcomes    []string `json:"outcomes"`
	Class       string   `json:"class"`
	Posts       *int     `json:"posts"`
	Session     string   `json:"session"`
	Life        string   `json:"life"`
	LifeAtMost  string   `json:"life_at_most"`
	AccessToken string   `json:"access_token"`
	Hint        []string `json:"hint"`
	NoHint      []string `json:"no_hint"`
	Reason      []string `json:"reason"`
	NoSecret    []string `json:"no_secret"`
	Versions    int      `json:"versions_at_most"`
}

const name = "reported"

func load(t *testing.T) map[string][]entry {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no entries: %v", err)
	}
	kinds, ids := map[string][]entry{}, map[string]bool{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(strings.NewReader(string(b)))
		d.DisallowUnknownFields()
		var kind struct {
			Kind    string  `json:"kind"`
			Entries []entry `json:"entries"`
		}
		if err := d.Decode(&kind); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, e := range kind.Entries {
			if ids[e.ID] || e.ID == "" || e.Source == "" {
				t.Errorf("%s: entry %q needs an id of its own and a source", file, e.ID)
			}
			ids[e.ID] = true
		}
		kinds[kind.Kind] = kind.Entries
	}
	return kinds
}

func TestCorpus(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	right, all := map[string]int{}, 0
	kinds := load(t)
	t.Cleanup(func() {
		total := 0
		for kind, entries := range kinds {
			t.Logf("%3d of %3d  %s", right[kind], len(entries), kind)
			total += right[kind]
		}
		t.Logf("%3d of %3d  in all", total, all)
	})
	for kind, entries := range kinds {
		all += len(entries)
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			for _, e := range entries {
				t.Run(e.ID, func(t *testing.T) {
					t.Parallel()
					faults := e.try(t)
					switch {
					case len(faults) > 0 && e.NotYet == "":
						t.Error(strings.Join(faults, "\n"))
					case len(faults) > 0:
						t.Logf("not yet, because %s:\n%s", e.NotYet, strings.Join(faults, "\n"))
					case e.NotYet != "":
						t.Error("the entry is right: take out its not_yet")
					default:
						mu.Lock()
						right[kind]++
						mu.Unlock()
					}
				})
			}
		})
	}
}

// try plays an entry and returns the differences from what is expected.
func (e entry) try(t *testing.T) (faults []string) {
	t.Helper()
	w := fakeworld.New(t)
	s := newServer(t, w.Clock.Now, e)
	e.connect(t, w, s)
	wrong := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }

	runs := e.Runs
	if len(runs) == 0 {
		runs = []string{"0s"}
	}
	var outcomes []string
	var shown strings.Builder
	var last issue.Entry
	run := func(after time.Duration) issue.Entry {
		w.Clock.Advance(after)
		report := w.Run(issue.Event{})
		text, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(text)
		got := fakeworld.Entry(report, name)
		if got.Outcome == "absent" {
			got.Outcome = "fresh"
		}
		return got
	}
	for _, after := range runs {
		last = run(duration(t, after))
		outcomes = append(outcomes, last.Outcome)
	}
	if e.RestOfDay {
		for w.Clock.Now().Before(fakeworld.Start.Add(7 * time.Hour)) {
			if got := run(30 * time.Minute); strings.HasPrefix(e.Server, "cached") && got.Outcome == "failed" {
				wrong("a run failed: %s", got.Reason)
			}
		}
	}
	told := fmt.Sprintf("outcome %s %s\nreason %s\nhint %s", last.Outcome, last.ErrorClass,
		last.Reason, last.Hint)
	if len(e.Want.Outcomes) > 0 && !slices.Equal(outcomes, e.Want.Outcomes) {
		wrong("outcomes %q, want %q", outcomes, e.Want.Outcomes)
	}
	if got := failedClass(w.Log.String(), last); e.Want.Class != "" && got != e.Want.Class {
		wrong("the exchange failed as %q, want %q", got, e.Want.Class)
	}
	if got := s.posts(); e.Want.Posts != nil && got != *e.Want.Posts {
		wrong("%d posts, want %d", got, *e.Want.Posts)
	}
	faults = append(faults, e.published(w)...)
	for _, part := range e.Want.Hint {
		if !strings.Contains(last.Hint, part) {
			wrong("the hint lacks %q", part)
		}
	}
	for _, part := range e.Want.NoHint {
		if strings.Contains(last.Hint, part) {
			wrong("the hint leads astray with %q", part)
		}
	}
	for _, part := range e.Want.Reason {
		if !strings.Contains(last.Reason, part) {
			wrong("the reason lacks %q", part)
		}
	}
	for _, secret := range append(e.Want.NoSecret, "example-secret", "example-password", "rt-example", "at-example") {
		if strings.Contains(shown.String(), secret) || strings.Contains(w.Log.String(), secret) {
			t.Errorf("%q was shown", secret)
		}
	}
	if len(faults) > 0 {
		faults = append(faults, told)
	}
	return faults
}

// published compares the published token and the session with the expected ones.
func (e entry) published(w *fakeworld.World) (faults []string) {
	wrong := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if session, _ := w.Session(name); e.Want.Session != "" && session.RefreshToken.Reveal() != e.Want.Session {
		wrong("the session has the refresh token %q, want %q", session.RefreshToken.Reveal(), e.Want.Session)
	}
	if e.Want.Versions > 0 {
		if got := len(w.AWS.Secret("evertoken/" + name + "/token").Versions); got > e.Want.Versions {
			wrong("%d versions of the token, want at most %d", got, e.Want.Versions)
		}
	}
	if e.Want.AccessToken == "" && e.Want.Life == "" && e.Want.LifeAtMost == "" {
		return faults
	}
	token, ok := w.Token(name)
	life := token.ExpiresAt.Sub(token.IssuedAt)
	switch {
	case !ok:
		wrong("no token was published")
	case e.Want.AccessToken != "" && token.AccessToken.Reveal() != e.Want.AccessToken:
		wrong("another token was published")
	case token.TokenType != "Bearer":
		wrong("the token's type is %q", token.TokenType)
	}
	if want, err := time.ParseDuration(e.Want.Life); err == nil && life != want {
		wrong("the token lives %s, want %s", life, want)
	}
	if most, err := time.ParseDuration(e.Want.LifeAtMost); err == nil && life > most {
		wrong("the token lives %s, want at most %s", life, most)
	}
	return faults
}

// failedClass is the class of the first exchange that failed, by the log, else
// that of the last run.
func failedClass(log string, last issue.Entry) string {
	for line := range strings.SplitSeq(log, "\n") {
		var l struct {
			Message string `json:"msg"`
			Class   string `json:"error_class"`
		}
		if json.Unmarshal([]byte(line), &l) == nil && l.Message == "exchange failed" {
			return l.Class
		}
	}
	return last.ErrorClass
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// connect declares the connection and stores its credential.
func (e entry) connect(t *testing.T, w *fakeworld.World, s *server) {
	t.Helper()
	if e.Declare != nil {
		for other, declared := range e.Declare {
			w.Declare(other, declared)
		}
		return
	}
	declared := map[string]any{"provider": "oauth2"}
	for member, value := range e.Connection {
		declared[member] = value
	}
	declared["settings"] = json.RawMessage(strings.ReplaceAll(string(e.Settings), "<server>", s.url))
	w.Declare(name, declared)
	document := e.document(t)
	w.AWS.CreateSecret("evertoken/"+name+"/credential", &document, nil)
	w.AWS.CreateSecret("evertoken/"+name+"/session", nil, nil)
	w.AWS.CreateSecret("evertoken/"+name+"/token", nil, nil)
}

// document is the stored credential.
func (e entry) document(t *testing.T) string {
	t.Helper()
	var text string
	if json.Unmarshal(e.Credential, &text) == nil {
		return text
	}
	var members map[string]any
	if err := json.Unmarshal(e.Credential, &members); err != nil {
		t.Fatal(err)
	}
	for member, value := range members {
		if made, ok := value.(map[string]any); ok && made["key"] != nil {
			members[member] = storedKey(t, fmt.Sprint(made["key"]), fmt.Sprint(made["as"]))
		}
	}
	b, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
