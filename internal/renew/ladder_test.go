package renew

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/exchange"
)

// The grants that a credential may allow.
var (
	client   = exchange.Grant{Type: "client_credentials", Members: []string{"client_id", "client_secret"}}
	password = exchange.Grant{Type: "password", Members: []string{"password", "username"}, Password: true}
	seed     = exchange.Grant{Type: "seed", Members: []string{"refresh_token"}, Seed: true}
	reusable = exchange.Grant{Type: "reusable", Members: []string{"refresh_token"}, Seed: true, Reusable: true}
)

func TestTheOrderInWhichGrantsAreSent(t *testing.T) {
	t.Parallel()
	// The keys say what the session allows: "-" no refresh token, "r" one that may be
	// sent; then whether the session fits the credential and whether it is at its end.
	// The refresh token is "refresh", or "refresh?" where it is the fallback.
	tests := []struct {
		name   string
		grants []exchange.Grant
		want   map[string]string
	}{
		{"nothing", nil, map[string]string{
			"-": "", "- fits": "", "- remint": "", "- fits remint": "",
			"r": "refresh", "r fits": "refresh", "r remint": "refresh", "r fits remint": "refresh",
		}},
		{"a password", []exchange.Grant{password}, map[string]string{
			"-": "password", "- fits": "password", "- remint": "password", "- fits remint": "password",
			"r": "password refresh?", "r fits": "refresh password", "r remint": "password refresh?", "r fits remint": "password refresh?",
		}},
		{"a client", []exchange.Grant{client}, map[string]string{
			"-": "client_credentials", "- fits": "client_credentials", "- remint": "client_credentials", "- fits remint": "client_credentials",
			"r": "client_credentials refresh?", "r fits": "refresh client_credentials", "r remint": "client_credentials refresh?", "r fits remint": "client_credentials refresh?",
		}},
		{"a seed that dies by use", []exchange.Grant{seed}, map[string]string{
			"-": "seed", "- fits": "", "- remint": "seed", "- fits remint": "",
			"r": "seed refresh?", "r fits": "refresh", "r remint": "seed refresh?", "r fits remint": "refresh",
		}},
		{"a seed that survives", []exchange.Grant{reusable}, map[string]string{
			"-": "reusable", "- fits": "reusable", "- remint": "reusable", "- fits remint": "reusable",
			"r": "reusable refresh?", "r fits": "refresh reusable", "r remint": "reusable refresh?", "r fits remint": "reusable refresh?",
		}},
		{"a seed and a client", []exchange.Grant{seed, client}, map[string]string{
			"-": "seed client_credentials", "- fits": "client_credentials", "- remint": "seed client_credentials", "- fits remint": "client_credentials",
			"r": "seed client_credentials refresh?", "r fits": "refresh client_credentials",
			"r remint": "seed client_credentials refresh?", "r fits remint": "client_credentials refresh?",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := map[string]string{}
			for i := range 8 {
				in := rungs{refresh: i&1 != 0, fits: i&2 != 0, remint: i&4 != 0, grants: tt.grants}
				key := map[bool]string{false: "-", true: "r"}[in.refresh]
				if in.fits {
					key += " fits"
				}
				if in.remint {
					key += " remint"
				}
				got[key] = inWords(ladder(in))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("attempts (-want +got):\n%s", diff)
			}
		})
	}
}

func inWords(attempts []attempt) string {
	var words []string
	for _, a := range attempts {
		word := a.grant.Type
		if a.grant.FromSession() {
			word = "refresh"
		}
		if a.fallback {
			word += "?"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}
