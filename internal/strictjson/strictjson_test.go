package strictjson_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"evertoken/internal/strictjson"
)

func TestADurationMayHaveDays(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	good := map[string]time.Duration{
		"10m": 10 * time.Minute, "24h": day, "1d": day, "14d": 14 * day, "1d12h": 36 * time.Hour,
		"0d": 0, "0s": 0, "1.5h": 90 * time.Minute, "99999d": 99999 * day,
	}
	for text, want := range good {
		if got, err := strictjson.ParseDuration(text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "10", "-1h", "-1d", "1d-1h", "1.5d", "100000d", "12h1d",
		" 1d", "1D", "99999d200000h", "cAnArY-51f0"} {
		got, err := strictjson.ParseDuration(text)
		if err == nil || got != 0 {
			t.Errorf("ParseDuration(%q) = %s, %v, want an error", text, got, err)
		}
		if text == "cAnArY-51f0" && strings.Contains(err.Error(), text) {
			t.Errorf("the error holds the value: %v", err)
		}
	}
}

func TestARepeatedMemberIsFound(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		`{"a":1,"b":2}`:                         "",
		`{"a":1,"a":2}`:                         "a",
		`{"a":1,"\u0061":2}`:                    "a",
		`{"a":{"b":1},"b":1}`:                   "",
		`{"a":{"b":{"c":1,"c":2}}}`:             "a.b.c",
		`{"a":[{"b":1},{"b":2}]}`:               "",
		`{"a":[{"b":1},{"b":2,"b":3}]}`:         "a.b",
		`{"a b\n":1,"a b\n":2}`:                 "a?b?",
		`{"A":1,"a":2}`:                         "",
		`{"a":1,"a`:                             "",
		``:                                      "",
		`[1,2]`:                                 "",
		strings.Repeat(`{"a":`, 20000):          "",
		`{"a":"x","c":[1,[2,{"d":1,"d":{}}]]} `: "c.d",
	} {
		if got := strictjson.RepeatedAt([]byte(document)); got != want {
			t.Errorf("%.60s: %q, want %q", document, got, want)
		}
	}
}

func TestARepeatedMemberIsRefused(t *testing.T) {
	t.Parallel()
	var v struct {
		A map[string]string `json:"a"`
	}
	const inner = `{"a":{"x":"1","x":"cAnArY-51f0"}}`
	if member, problem := strictjson.Decode([]byte(inner), &v); member != "a.x" ||
		!strings.Contains(problem, "twice") {
		t.Errorf("%q %q", member, problem)
	}
	if member, problem := strictjson.DecodeOuter([]byte(inner), &v); problem != "" {
		t.Errorf("%q %q", member, problem)
	}
	if member, problem := strictjson.DecodeOuter([]byte(`{"a":{},"a":null}`), &v); member != "a" ||
		!strings.Contains(problem, "twice") {
		t.Errorf("%q %q", member, problem)
	}
}

func FuzzRepeatedAt(f *testing.F) {
	f.Add([]byte(`{"a":[{"b":1,"b":2}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		path := strictjson.RepeatedAt(document)
		if strings.ContainsAny(path, "\n\x1b ") {
			t.Errorf("%q would break a log line", path)
		}
	})
}

// FuzzMembers compares the count with what a decoder reads, one by one.
func FuzzMembers(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"a":1}`, ` {"a":1,"a":2} `, `{"a:b":"c:d","e":{"f":1,"g":[{"h":2}]}}`,
		`{"\":":"\\","\\":":"}`, `{"a":[":",{"b":":"}],"c":null}`,
		`{"é:":"\u003a","":""}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var object map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &object) != nil || object == nil {
			return
		}
		d := json.NewDecoder(strings.NewReader(text))
		if _, err := d.Token(); err != nil {
			t.Fatal(err)
		}
		want := 0
		for ; d.More(); want++ {
			var value json.RawMessage
			if _, err := d.Token(); err != nil {
				t.Fatal(err)
			}
			if err := d.Decode(&value); err != nil {
				t.Fatal(err)
			}
		}
		if got := strictjson.Members(text); got != want {
			t.Errorf("%q has %d members, counted %d", text, want, got)
		}
	})
}
