package secrets_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

func TestByPathReadsEveryPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := map[string]secrets.Listed{}
	for i := range 57 {
		name := fmt.Sprintf("/evertoken/connections/c-%02d", i)
		if i%5 == 0 {
			name = fmt.Sprintf("/evertoken/connections/team/%02d", i)
		}
		want[name] = secrets.Listed{Value: fmt.Sprintf(`{"n":%d}`, i)}
		w.PutParameter(name, "String", want[name].Value)
	}
	w.PutParameter("/evertoken/connections/secure", "SecureString", "in clear")
	w.PutParameter("/evertoken/other", "String", "x")
	w.PutParameter("/evertoken/connections-old/a", "String", "x")
	got, err := w.parameters.ByPath(t.Context(), "/evertoken/connections/")
	wantKind(t, err, nil)
	if secure := got["/evertoken/connections/secure"]; !secure.Secure ||
		strings.Contains(secure.Value, "in clear") {
		t.Errorf("a SecureString is read as %+v", secure)
	}
	delete(got, "/evertoken/connections/secure")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ByPath (-want +got):\n%s", diff)
	}
	empty, err := w.parameters.ByPath(t.Context(), "/nothing/")
	if err != nil || len(empty) != 0 {
		t.Errorf("ByPath of an empty path = %v, %v", empty, err)
	}
}

func TestABatchOfParametersIsReadInParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var names []string
	for i := range 23 {
		name := fmt.Sprintf("/evertoken/tokens/%02d", i)
		names = append(names, name)
		if i != 7 {
			w.PutParameter(name, "SecureString", "token "+name)
		}
	}
	got := w.parameters.Batch(t.Context(), names)
	if len(got) != 23 || w.counted("GetParameters") != 3 {
		t.Errorf("%d answers in %d calls, want 23 in 3", len(got), w.counted("GetParameters"))
	}
	for i, name := range names {
		if i == 7 {
			wantKind(t, got[name].Err, secrets.ErrNotFound)
			continue
		}
		if v := got[name].Version; got[name].Err != nil || v.Value.Reveal() != "token "+name ||
			!v.Created.Equal(w.clock.Now()) {
			t.Errorf("%s: %+v", name, got[name])
		}
	}
}

func TestOneDeniedKeyDoesNotFailTheBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	names := []string{"/a", "/b", "/c"}
	for _, name := range names {
		w.PutParameter(name, "SecureString", "v")
	}
	w.SetKMS("/b", true, false)
	got := w.parameters.Batch(t.Context(), append(names, "/absent"))
	wantKind(t, got["/a"].Err, nil)
	wantKind(t, got["/b"].Err, secrets.ErrDenied)
	wantKind(t, got["/c"].Err, nil)
	wantKind(t, got["/absent"].Err, secrets.ErrNotFound)
}

func TestAParameterIsStoredAsASecureString(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wantKind(t, w.parameters.Put(t.Context(), "/evertoken/a", "", redact.New("one")), nil)
	p, _ := w.Parameter("/evertoken/a")
	if p.Type != "SecureString" || p.Value != "one" || p.Tier != "Standard" || p.KeyID != "alias/aws/ssm" {
		t.Errorf("the first put made %+v", p)
	}
	long := strings.Repeat("x", 5000)
	wantKind(t, w.parameters.Put(t.Context(), "/evertoken/a", "alias/mine", redact.New(long)), nil)
	p, _ = w.Parameter("/evertoken/a")
	if p.Type != "SecureString" || p.Value != long || p.Tier != "Advanced" ||
		p.KeyID != "alias/mine" || p.Version != 2 {
		t.Errorf("the second put made type %s, tier %s, key %s, version %d", p.Type, p.Tier, p.KeyID, p.Version)
	}
	got, err := w.parameters.Get(t.Context(), "/evertoken/a")
	if err != nil || got.Reveal() != long {
		t.Errorf("Get: %v", err)
	}
	w.SetKMS("/evertoken/a", false, true)
	wantKind(t, w.parameters.Put(t.Context(), "/evertoken/a", "alias/mine", redact.New("x")), secrets.ErrDenied)
}

func TestADeletedParameterMayBeGoneAlready(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.PutParameter("/evertoken/a", "SecureString", "v")
	for range 2 { // the second finds it gone
		wantKind(t, w.parameters.Delete(t.Context(), "/evertoken/a"), nil)
	}
	if _, there := w.Parameter("/evertoken/a"); there {
		t.Error("it is still there")
	}
	_, err := w.parameters.Get(t.Context(), "/evertoken/a")
	wantKind(t, err, secrets.ErrNotFound)
	if ops := slices.Compact(operations(w)); !slices.Equal(ops, []string{"DeleteParameter", "GetParameter"}) {
		t.Errorf("calls %v", ops)
	}
}

func operations(w *world) []string {
	var out []string
	for _, c := range w.Calls() {
		out = append(out, c.Operation)
	}
	return out
}
