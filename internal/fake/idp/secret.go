package fakeidp

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Canary is a substring of every secret value that the server makes.
const Canary = "canary"

// accessToken is what the server knows of an access token that expires without being
// revoked.
type accessToken struct {
	provider string
	subject  string // who it speaks for
	realm    string // the Flexera zone, or the client it was issued to
	scope    string
	expires  time.Time
	revoked  bool
}

// Canaries returns every secret value issued or registered so far: access
// tokens, refresh tokens, client secrets and passwords.
func (s *Server) Canaries() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.canaries)
}

// register lists a secret value among the canaries.
func (s *Server) register(value string) string {
	if value != "" && !slices.Contains(s.canaries, value) {
		s.canaries = append(s.canaries, value)
	}
	return value
}

// mint makes an opaque secret value of a kind.
func (s *Server) mint(provider, kind string) string {
	v := Canary + provider + kind + randomHex(24)
	s.canaries = append(s.canaries, v)
	return v
}

// mintPassword makes a secret with characters that every encoding on its way (JSON,
// forms, HTTP Basic) must keep. It begins and ends without a blank.
func (s *Server) mintPassword(provider, kind string) string {
	return s.register(Canary + provider + kind + randomHex(16) + " :%+&=\"\\/é" + randomHex(4))
}

// mintJWT makes a token that looks like a JWT signed with HS256. Nobody holds
// the key: the signature is random text, and holds the canary.
func (s *Server) mintJWT(provider, kind string, claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic("fakeidp: encoding claims: " + err.Error()) // only our own types get here
	}
	sig := Canary + provider + kind
	const size = 44 // 33 bytes: whole base64 groups
	sig += randomHex(size - len(sig))
	enc := base64.RawURLEncoding
	v := enc.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + enc.EncodeToString(payload) + "." + sig
	s.canaries = append(s.canaries, v)
	return v
}

// issueJWT makes an access token and remembers it.
func (s *Server) issueJWT(t accessToken, claims map[string]any) string {
	all := map[string]any{
		"jti": randomHex(16), "iat": s.now().Unix(), "exp": t.expires.Unix(), "sub": t.subject,
	}
	maps.Copy(all, claims)
	v := s.mintJWT(t.provider, "access", all)
	s.access[v] = &t
	return v
}

// liveAccess returns the access token if it is alive, else nil.
func (s *Server) liveAccess(provider, value string) *accessToken {
	t := s.access[value]
	if t == nil || t.provider != provider || t.revoked || !s.now().Before(t.expires) {
		return nil
	}
	return t
}

// describe makes an error description, with what the client sent and with control
// characters if the options say so.
func (s *Server) describe(text string, sent ...string) string {
	if !s.opts.NoEcho {
		for _, v := range sent {
			if v != "" {
				text += " [" + v + "]"
			}
		}
	}
	if s.opts.ControlCharacters {
		text += "\r\n\x1b[31m\x00\u2028forged=line"
	}
	return text
}

// randomHex returns n random hexadecimal digits.
func randomHex(n int) string {
	b := make([]byte, (n+1)/2)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)[:n]
}

func itoa(n int) string { return strconv.Itoa(n) }

// seconds is a duration in whole seconds, as expires_in counts them.
func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// spaceSet is a space-separated list, such as an OAuth scope, as a set.
func spaceSet(list string) map[string]bool {
	set := make(map[string]bool)
	for v := range strings.FieldsSeq(list) {
		set[v] = true
	}
	return set
}
