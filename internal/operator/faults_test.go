package operator

import (
	"slices"
	"testing"

	"evertoken/internal/connection"
)

// Each fault of a declaration is named, and none that only follows from another.
func TestAllFaultsOfADeclarationAreNamed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		want       []string // members, sorted
	}{
		{"one", `{"provider":"flexera","settings":{"zone":"us"}}`, []string{"settings.zone"}},
		{"members and settings", `{"provider":"apiax","min_remaining":"0s","x":1,"settings":{"y":1}}`,
			[]string{"min_remaining", "settings.y", "x"}},
		{"in one of several", `{"connections":{"c":{"provider":"apiax","x":1,"y":2}}}`,
			[]string{"x", "y"}},
		{"an unknown provider judges no settings",
			`{"provider":"acme","x":1,"settings":{"y":1}}`, []string{"provider", "x"}},
		{"no provider", `{"min_remaining":"0s"}`, []string{"min_remaining", "provider"}},
		{"a probe", `{"provider":"flexera","probe":{"every":"1m"},"settings":{"zone":"us"}}`,
			[]string{"probe.every", "settings.zone"}},
		{"what needs the member at fault", `{"provider":"apiax","token":"t","token_parameter":"/x",` +
			`"token_parameter_key":"k"}`, []string{"token_parameter"}},
		{"what stands for the member at fault",
			`{"provider":"oauth2","settings":{"grant":"client_credentials","issuer":"ftp://x"}}`, []string{"settings.issuer"}},
		{"what the grant decides", `{"provider":"oauth2","settings":{"token_url":"https://x.example/t",` +
			`"grant":"authorization_code","client_auth":"none"}}`, []string{"settings.grant"}},
		{"not an object", `[]`, []string{""}},
		{"a member twice", `{"provider":"apiax","x":1,"x":2,"y":3}`, []string{"x", "y"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := &app{Process: Process{Getenv: func(string) string { return "" }}}
			rules := a.rules(defaultPath, "")
			d := connection.Load([]connection.Parameter{{Name: defaultPath + "c", Value: tt.text}}, rules)[0]
			err := d.Err
			if err == nil {
				_, err = a.provider(d.Connection)
			}
			if err == nil {
				t.Fatal("nothing is wrong")
			}
			var got []string
			for _, err := range a.faults(d, tt.text, err) {
				name, _ := member(err)
				got = append(got, name)
			}
			slices.Sort(got)
			if !slices.Equal(got, tt.want) {
				t.Errorf("faults = %q, want %q", got, tt.want)
			}
		})
	}
}
