package operator

import (
	"encoding/json"
	"testing"
)

func TestAMemberIsLocatedByLineAndColumn(t *testing.T) {
	t.Parallel()
	const one = "\n{\n  \"provider\": \"flexera\",\n  \"settings\" : {\"a\": [1, {\"zone\": 2}], \"zone\": " +
		"\"us\"}\n}"
	const several = `{"connections": {"a": {}, "b": {"x": 1}}}`
	for _, tt := range []struct {
		text string
		way  []string
		want string
	}{
		{one, nil, "2:1"},
		{one, []string{"provider"}, "3:3"},
		{one, []string{"settings", "zone"}, "4:40"},
		{one, []string{"settings", "absent"}, "4:3"},
		{one, []string{"absent"}, "2:1"},
		{one, []string{"provider", "zone"}, "3:3"},
		{several, []string{"connections", "b", "x"}, "1:33"},
		{several, []string{"connections", "b"}, "1:27"},
		{"", []string{"a"}, "1:1"},
		{"[1]", []string{"a"}, "1:1"},
	} {
		if got := locate([]byte(tt.text), tt.way...).String(); got != tt.want {
			t.Errorf("locate(%q, %q) = %s, want %s", tt.text, tt.way, got, tt.want)
		}
	}
}

func TestASyntaxErrorIsLocatedByLineAndColumn(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{\n \"a\": 1,\n}": "3:1",
		`{"a": tru}`:       "1:10",
		`{"a": 1}`:         "",
		`{"a": 1} x`:       "1:10",
		`{"a"`:             "1:4",
	} {
		at, broken := syntaxFault([]byte(text))
		if broken != (want != "") || broken && at.String() != want {
			t.Errorf("syntaxFault(%q) = %v, %v, want %q", text, at, broken, want)
		}
	}
}

// Whatever the text, a place is inside it, and a member that JSON knows is found.
func FuzzLocate(f *testing.F) {
	f.Add(`{"a": {"b": 1}}`, "a")
	f.Add(`{"a":`, "a")
	f.Add("{\"\x00\":[{}]}", "b")
	f.Fuzz(func(t *testing.T, text, name string) {
		at := locate([]byte(text), name, "b")
		if at.line < 1 || at.column < 1 {
			t.Fatalf("place %v", at)
		}
		var members map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &members) != nil {
			return
		}
		found, value := memberAt([]byte(text), 0, name)
		if _, has := members[name]; has != (found >= 0) || has && (value > len(text) || text[found] != '"') {
			t.Fatalf("memberAt finds %d, %d; there: %v", found, value, has)
		}
	})
}
