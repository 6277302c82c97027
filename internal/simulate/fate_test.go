package simulate

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"evertoken/internal/secrets"
)

// fate begins and ends disturbances, and acts as operators do.
func (q *quarter) fate() {
	now := q.w.Clock.Now()
	if q.chance(perDay / 7) {
		q.awsDown = now.Add(q.between(5*time.Minute, 40*time.Minute))
		q.outages++
	}
	if q.chance(perDay / 3) {
		q.throttled = now.Add(q.between(10*time.Minute, time.Hour))
		q.outages++
	}
	for _, provider := range []string{"flexera", "flexnet", "sharetribe", "apiax", "oauth2"} {
		if q.chance(perDay / 10) {
			q.idpDown[provider] = now.Add(q.between(5*time.Minute, 6*time.Hour))
			q.outages++
			for _, r := range q.applications {
				if r.provider == provider {
					r.upsets++
				}
			}
		}
	}
	if q.chance(3 * perDay) {
		q.operate(q.applications[q.rnd.IntN(len(q.applications))])
	}
	for i := 0; i < len(q.fixes); i++ {
		if !now.Before(q.fixes[i].at) {
			q.fixes[i].do()
			q.fixes = append(q.fixes[:i], q.fixes[i+1:]...)
			i--
		}
	}
}

func (q *quarter) later(d time.Duration, do func()) {
	q.fixes = append(q.fixes, fix{q.w.Clock.Now().Add(d), do})
}

// operate acts as an operator, wisely or not.
func (q *quarter) operate(r *application) {
	q.operator++
	secret := "evertoken/" + r.name + "/"
	value := func(document string) string {
		v, _ := q.w.AWS.Secret(secret + document).Labelled(secrets.Current)
		return v.Value
	}
	switch q.rnd.IntN(6) {
	case 0: // the same credential re-applied
		q.w.PutSecret(secret+"credential", value("credential"))
		r.stored++
	case 1: // a changed password, first at the provider, then in AWS
		if r.provider != "apiax" || r.unwell {
			return
		}
		r.unwell, r.disturbed = true, true
		r.upsets++
		password := q.w.IDP.Apiax().SetPassword(r.name, "")
		q.later(q.between(10*time.Minute, 3*time.Hour), func() {
			b, _ := json.Marshal(map[string]string{"username": r.name, "password": password})
			q.w.PutSecret(secret+"credential", string(b))
			r.unwell = false
		})
	case 2: // a mistyped credential, corrected later
		good := value("credential")
		if r.unwell {
			return
		}
		r.unwell, r.disturbed = true, true
		r.upsets++
		r.wrongStored++
		r.stored += 2 // now, and when it is corrected
		q.w.PutSecret(secret+"credential",
			strings.NewReplacer(`"password":"`, `"password":"`+wrongPassword, `"client_secret":"`,
				`"client_secret":"`+wrongPassword,
				`"refresh_token":"`, `"refresh_token":"`+wrongPassword).Replace(good))
		q.later(q.between(time.Hour, 30*time.Hour), func() {
			q.w.PutSecret(secret+"credential", good)
			r.unwell = false
		})
	case 3: // the session's label moved back
		q.moveBack(r)
	case 4: // the session emptied, where a stronger grant is stored
		if s, ok := q.w.Session(r.name); ok && !s.RefreshToken.IsZero() && r.name != "oauth2-refresh" {
			r.disturbed = true
			r.upsets++
			q.w.PutSecret(secret+"session", "{}")
		}
	case 5: // the provider ends all sessions
		if r.provider == "apiax" {
			r.upsets++
			q.w.IDP.Apiax().EndSessions(r.name)
		}
	}
}

func (q *quarter) moveBack(r *application) {
	secret := q.w.AWS.Secret("evertoken/" + r.name + "/session")
	current, ok := secret.Labelled(secrets.Current)
	previous, before := secret.Labelled(secrets.Previous)
	if !ok || !before || !previous.HasValue {
		return
	}
	r.disturbed = true
	r.upsets++
	if err := q.w.Store().MoveLabel(context.Background(), secret.Name, secrets.Current, previous.ID, current.ID); err != nil {
		q.t.Fatalf("moving the session's label back: %v", err)
	}
}

// reseed stores a new seed, as a person must for a connection with nothing stronger than
// its refresh token after a lost answer.
func (q *quarter) reseed(r *application) {
	if r.name != "oauth2-refresh" || r.unwell {
		return
	}
	x := watcher{w: q.w, s: scenario{provider: r.provider, onlyRefresh: true}, name: r.name}
	if x.grantLeft() {
		return
	}
	r.unwell, r.disturbed = true, true
	q.later(q.between(time.Hour, 4*time.Hour), func() {
		members := q.members(r)
		members["refresh_token"] = q.w.IDP.OAuth2().AddRefreshToken(members["client_id"], "subject", "read")
		b, _ := json.Marshal(members)
		q.w.PutSecret("evertoken/"+r.name+"/credential", string(b))
		r.unwell = false
	})
}

// members are those of a connection's stored credential.
func (q *quarter) members(r *application) map[string]string {
	v, _ := q.w.AWS.Secret("evertoken/" + r.name + "/credential").Labelled(secrets.Current)
	members := map[string]string{}
	if err := json.Unmarshal([]byte(v.Value), &members); err != nil {
		q.t.Fatalf("the credential of %s: %v", r.name, err)
	}
	return members
}
