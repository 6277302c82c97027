package renew

import (
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/exchange"
)

// Reads are the documents that a run needs besides the published token.
type Reads struct{ Credential, Session bool }

// Needs says, from the published token alone, what else a scheduled run must read of the
// connection: nothing before the token's look_after, and everything after it, if there is no
// usable token, or if a refresh ends the token before it. A probe of the token needs the
// credential, which says where the token may be sent. A run that names the connection reads
// everything in any case.
//
// It is a pure function of the job's Connection, Provider, Token, Force, Candidate, Named and
// DryRun. every is how often a run happens.
func Needs(j Job, every time.Duration, now time.Time) Reads {
	var published *credential.Token
	if j.Token.Err == nil {
		token, err := credential.ParseToken(j.Token.Version.Value)
		if err == nil && token.Connection == j.Connection.Name {
			published = &token
		}
	}
	return needs(j, published, every, now)
}

// needs is [Needs] with the published token; nil if there is no usable one.
func needs(j Job, token *credential.Token, every time.Duration, now time.Time) Reads {
	traits := j.Provider.Traits()
	session := traits.Session != exchange.NoSession
	everything := Reads{Credential: true, Session: session}
	// With RenewLate a refresh ends the token before it: only the session tells whether an
	// earlier run has made one and could not publish its token.
	if j.Force || j.Candidate || j.DryRun || token == nil || traits.RenewLate && session {
		return everything
	}
	// The declaration may have changed since the token was published.
	at := tokenFacts(j.Connection, traits, every, *token).LookAfter()
	if told := token.LookAfter; !told.IsZero() && told.Before(at) {
		at = told
	}
	// Without look_after, a session may say more than the token.
	tells := !token.LookAfter.IsZero() || !session
	if now.Before(at) && !probes(j, every, now) && tells {
		return Reads{}
	}
	return everything
}
