package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"evertoken/internal/credential"
	fakeidp "evertoken/internal/fake/idp"
	"evertoken/internal/presets"
)

// The commands with which a script checks something:
//
//	[!] answer PATH [VALUE]             the last answer; an element of "connections" goes by its name
//	[!] stored SECRET PATH [VALUE]      a document that is AWSCURRENT
//	[!] parameter NAME [PATH VALUE]     a parameter
//	[!] published NAME                  a token that lives and that the provider accepts
//	versions SECRET N                   how many versions there are
//	[!] labelled SECRET PREFIX          whether a version has such a label
//	requests N [provider|grant=X...]    how many requests the last run sent to providers
//	calls N OPERATION [RESOURCE]        how many calls the last run made to AWS, failed ones included
//	unwritten                           the last run changed nothing
//
// VALUE is the text itself, ~PATTERN, >NUMBER or <NUMBER.

// look finds a path in a JSON document and returns the value as text.
func look(document []byte, path string) (string, error) {
	var v any
	if err := json.Unmarshal(document, &v); err != nil {
		return "", fmt.Errorf("not JSON: %w", err)
	}
	for step := range strings.SplitSeq(path, ".") {
		next, ok := down(v, step)
		if !ok {
			return "", errAbsent
		}
		v = next
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	b, err := json.Marshal(v)
	return string(b), err
}

var errAbsent = errors.New("absent")

// down is the member of an object, or the element of a list by the member
// "name".
func down(v any, step string) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		next, ok := v[step]
		return next, ok
	case []any:
		for _, element := range v {
			if m, ok := element.(map[string]any); ok && m["name"] == step {
				return element, true
			}
		}
	}
	return nil, false
}

// check compares the value at a path.
func check(ts *testscript.TestScript, neg bool, what string, document []byte, path []string) {
	value, err := look(document, path[0])
	ok := err == nil
	if err != nil && !errors.Is(err, errAbsent) {
		ts.Fatalf("%s: %v", what, err)
	}
	if ok && len(path) > 1 {
		ok, err = matches(value, path[1])
		ts.Check(err)
	}
	if ok == neg {
		ts.Fatalf("%s: %s is %q (%t), not as wanted: %q", what, path[0], value, err == nil, path[1:])
	}
}

func cmdAnswer(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, true, args, 1, "[!] answer PATH [VALUE]")
	check(ts, neg, "the answer", h.answer, args)
}

func cmdStored(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, true, args, 2, "[!] stored SECRET PATH [VALUE]")
	check(ts, neg, args[0], []byte(h.current(args[0])), args[1:])
}

func cmdParameter(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, true, args, 1, "[!] parameter NAME [PATH VALUE]")
	p, ok := h.AWS.Parameter(args[0])
	switch {
	case len(args) == 1 && ok == neg:
		ts.Fatalf("parameter %s exists: %t", args[0], ok)
	case len(args) > 1:
		check(ts, neg, args[0], []byte(p.Value), args[1:])
	}
	if ok && p.Type != "SecureString" && !strings.HasPrefix(args[0], "/evertoken/connections/") {
		ts.Fatalf("parameter %s is a %s", args[0], p.Type)
	}
}

func cmdPublished(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, true, args, 1, "[!] published NAME")
	token, ok := h.Token(args[0])
	if ok == neg {
		ts.Fatalf("%s has a token: %t", args[0], ok)
	}
	if neg {
		return
	}
	provider := token.Provider
	if _, preset := presets.Find(provider); preset {
		provider = fakeidp.ProviderOAuth2 // the generic server, used for every vendor
	}
	if !h.IDP.Accepts(provider, token.AccessToken.Reveal()) {
		ts.Fatalf("the provider refuses what %s published", args[0])
	}
	if err := sound(token, h.current("evertoken/"+args[0]+"/token")); err != nil {
		ts.Fatalf("the token of %s: %v", args[0], err)
	}
}

// sound checks that a token document is as readers are promised.
func sound(token credential.Token, document string) error {
	var members map[string]string // flat, and text throughout
	if err := json.Unmarshal([]byte(document), &members); err != nil {
		return err
	}
	for _, name := range []string{"access_token", "token_type", "authorization", "expires_at", "issued_at", "renew_after", "provider", "connection"} {
		if members[name] == "" {
			return fmt.Errorf("%s is missing", name)
		}
	}
	switch {
	case members["authorization"] != members["token_type"]+" "+members["access_token"]:
		return errors.New("authorization is not type and token")
	case token.RenewAfter.Before(token.IssuedAt) || token.ExpiresAt.Before(token.RenewAfter):
		return errors.New("its times are out of order")
	}
	return nil
}

func cmdVersions(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 2, "versions SECRET N")
	if got := strconv.Itoa(len(h.AWS.Secret(args[0]).Versions)); got != args[1] {
		ts.Fatalf("%s has %s versions, not %s", args[0], got, args[1])
	}
}

func cmdLabelled(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, true, args, 2, "[!] labelled SECRET PREFIX")
	var all []string
	for _, v := range h.AWS.Secret(args[0]).Versions {
		all = append(all, v.Labels...)
	}
	if slices.ContainsFunc(all, func(label string) bool { return strings.HasPrefix(label, args[1]) }) == neg {
		ts.Fatalf("%s has the labels %v", args[0], all)
	}
}

func cmdRequests(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 1, "requests N [provider|grant=X...]")
	n := 0
	var seen []string
	for _, r := range h.IDP.Requests() {
		seen = append(seen, r.Provider+" "+r.Grant+" "+r.Path)
		fits := true
		for _, arg := range args[1:] {
			key, value, _ := strings.Cut(arg, "=")
			fits = fits && map[string]string{"provider": r.Provider, "grant": r.Grant}[key] == value
		}
		if fits {
			n++
		}
	}
	if strconv.Itoa(n) != args[0] {
		ts.Fatalf("%d requests, not %s: %q", n, args[0], seen)
	}
}

func cmdCalls(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 2, "calls N OPERATION [RESOURCE]")
	n := 0
	for _, c := range h.calls() {
		if c.Operation == args[1] && (len(args) < 3 || c.Resource == args[2]) {
			n++
		}
	}
	if strconv.Itoa(n) != args[0] {
		ts.Fatalf("%d calls of %s, not %s: %v", n, args[1], args[0], operations(h.world))
	}
}

func operations(w *world) []string {
	var out []string
	for _, c := range w.calls() {
		out = append(out, strings.TrimSpace(c.Operation+" "+c.Resource+" "+c.Code))
	}
	return out
}

// writes are the calls that change something.
var writes = []string{"PutSecretValue", "UpdateSecretVersionStage", "PutParameter", "DeleteParameter"}

func cmdUnwritten(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 0, "unwritten")
	for _, c := range h.calls() {
		if slices.Contains(writes, c.Operation) && c.Code == "" {
			ts.Fatalf("%s was written by %s", c.Resource, c.Operation)
		}
	}
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("a string always encodes: %v", err))
	}
	return string(b)
}
