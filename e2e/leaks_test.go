package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	fakeidp "evertoken/internal/fake/idp"
)

// leaks returns what must not be in a function's output: secrets, ARNs, account ids, and
// control characters, escaped in JSON or not. It does not repeat the secrets.
func leaks(output string, canaries []string) []string {
	var found []string
	for i, canary := range canaries {
		if strings.Contains(output, canary) {
			found = append(found, fmt.Sprintf("secret %d", i))
		}
	}
	for _, part := range []string{fakeidp.Canary, "123456789012", "arn:aws"} {
		if strings.Contains(output, part) {
			found = append(found, part)
		}
	}
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		var v any
		if json.Unmarshal([]byte(line), &v) != nil {
			v = line
		}
		if controls(v) {
			found = append(found, fmt.Sprintf("control character in %.200q", line))
		}
	}
	return found
}

// controls reports whether a string anywhere in v has a control character.
func controls(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.ContainsFunc(v, unicode.IsControl)
	case []any:
		for _, element := range v {
			if controls(element) {
				return true
			}
		}
	case map[string]any:
		for name, member := range v {
			if controls(name) || controls(member) {
				return true
			}
		}
	}
	return false
}

func TestTheSearchForLeaksFindsOne(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		output string
		want   []string
	}{
		"nothing":                      {`{"level":"INFO","msg":"connection"}` + "\nplain text\n", nil},
		"a secret":                     {`{"msg":"s3cr3t"}`, []string{"secret 0"}},
		"part of a made secret":        {`{"msg":"canaryapiaxpass"}`, []string{"canary"}},
		"an ARN":                       {`{"msg":"arn:aws:secretsmanager:us-east-1:123456789012:secret:x"}`, []string{"123456789012", "arn:aws"}},
		"a raw escape":                 {"a \x1b[31m line", []string{`control character in "a \x1b[31m line"`}},
		"an escaped line break":        {`{"msg":["a\nb"]}`, []string{`control character in "{\"msg\":[\"a\\nb\"]}"`}},
		"a line break in a name":       {`{"a\rb":1}`, []string{`control character in "{\"a\\rb\":1}"`}},
		"a control of the upper range": {`{"msg":"\u0085"}`, []string{`control character in "{\"msg\":\"\\u0085\"}"`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, leaks(test.output, []string{"s3cr3t"})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestNothingLeaksWhateverIsAnswered makes every provider repeat, in its answers, all
// that it was sent, in every way of failing, with control characters. The world itself
// searches for leaks when it ends.
func TestNothingLeaksWhateverIsAnswered(t *testing.T) {
	t.Parallel()
	echo := func(status int) *fakeidp.Fault {
		return &fakeidp.Fault{Kind: fakeidp.Answer, Status: status}
	}
	faults := map[string]*fakeidp.Fault{
		"no fault": nil, "400": echo(400), "401": echo(401), "403": echo(403), "429": echo(429), "500": echo(500), "200": echo(200),
		"html": {Kind: fakeidp.HTML}, "redirect": {Kind: fakeidp.Redirect}, "truncated": {Kind: fakeidp.Truncate},
		"cut off": {Kind: fakeidp.CutOff}, "504 after": {Kind: fakeidp.AnswerAfter}, "dropped": {Kind: fakeidp.DropAfter},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{idp: fakeidp.Options{ControlCharacters: true}})
			all := w.All()
			if fault != nil {
				if fault.Kind == fakeidp.Answer {
					fault.Body = echoOf(w.IDP.Canaries())
				}
				w.IDP.Inject(fault)
			}
			got, err := w.run(w.function, `{}`)
			if err != nil {
				t.Fatal(err)
			}
			if fault != nil && got.Failed == 0 || fault == nil && got.Issued != len(all) {
				t.Errorf("the answer is %+v", got)
			}
			w.IDP.ClearFaults()
			for _, wrong := range all { // refused for what they hold, not by a fault
				if err := w.put("evertoken/"+wrong+"/credential", spoilt(w.current("evertoken/"+wrong+"/credential"))); err != nil {
					t.Fatal(err)
				}
				if err := w.put("evertoken/"+wrong+"/session", "{}"); err != nil {
					t.Fatal(err)
				}
			}
			names, _ := json.Marshal(all)
			if got, err = w.run(w.function, `{"connections":`+string(names)+`,"force":true}`); err != nil {
				t.Fatal(err)
			}
			if got.Failed == 0 {
				t.Errorf("no spoilt credential was refused: %+v", got)
			}
		})
	}
}

// echoOf is an error body with every provider's members at once, and with all that must
// not be repeated.
func echoOf(canaries []string) []byte {
	said := "\r\n\x1b[31m forged " + strings.Join(canaries, " ")
	b, err := json.Marshal(map[string]any{
		"error": said, "error_description": said, "errorCode": said, "errorSummary": said, "name": said, "message": said,
		"detail": said, "statusMessage": said, "errors": []any{map[string]any{"code": said, "title": said}},
	})
	if err != nil {
		panic(fmt.Sprintf("strings always encode: %v", err))
	}
	return b
}

// spoilt is a credential whose secrets are wrong.
func spoilt(document string) string {
	var members map[string]string
	if json.Unmarshal([]byte(document), &members) != nil {
		return document
	}
	for _, name := range []string{"password", "client_secret", "refresh_token"} {
		if _, ok := members[name]; ok {
			members[name] = fakeidp.Canary + "-wrong-" + name
		}
	}
	b, err := json.Marshal(members)
	if err != nil {
		panic(fmt.Sprintf("strings always encode: %v", err))
	}
	return string(b)
}
