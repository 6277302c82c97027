package simulate

import (
	"time"

	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
)

// subject is the one connection of a scenario's world.
const subject = "subject"

// scenario brings a world to the instant before the run that is to be broken.
type scenario struct {
	name     string
	provider string
	arrange  func(*fakeworld.World)
	// onlyRefresh is set where nothing that works is stored besides the
	// refresh token.
	onlyRefresh bool
	// variant is set where the same order of calls is tried by another scenario.
	variant bool
}

// strict makes every provider as unforgiving as it can be.
func strict(w *fakeworld.World) {
	w.IDP.Apiax().Configure(func(o *fakeidp.ApiaxOptions) { o.RevokeRefreshToken = true })
	w.IDP.Sharetribe().Configure(func(o *fakeidp.SharetribeOptions) { o.ReuseKillsFamily = true })
}

// due moves the clock to when the published token is to be renewed.
func due(w *fakeworld.World) {
	token, ok := published(w, subject)
	if !ok || token.renewAfter.IsZero() {
		panic("no token was published")
	}
	w.Clock.Advance(token.renewAfter.Sub(w.Clock.Now()))
}

func renewed(connect func(*fakeworld.World)) func(*fakeworld.World) {
	return func(w *fakeworld.World) {
		connect(w)
		w.Run(issue.Event{})
		due(w)
	}
}

// endingSession connects a realm whose sessions end after two hours, and stops
// where the session is to be re-minted although its token is not due.
func endingSession(w *fakeworld.World) {
	a := w.IDP.Apiax()
	a.Configure(func(o *fakeidp.ApiaxOptions) { o.SSOMax = 2 * time.Hour })
	w.Apiax(subject)
	w.Declare(subject, map[string]any{"provider": "apiax", "settings": map[string]any{
		"token_url": a.TokenURL(), "session_max": "2h", "remint_before": "55m"}})
	w.Run(issue.Event{})
	for range 14 {
		w.Tick()
	}
	due(w)
}

// scenarios are every provider and grant, opening and refreshing, and the turns
// that a session takes.
func scenarios() []scenario {
	connections := []struct {
		name, provider string
		connect        func(*fakeworld.World)
		variant        bool
	}{
		{"flexera user", "flexera", func(w *fakeworld.World) { w.Flexera(subject, false) }, false},
		{"flexera service", "flexera", func(w *fakeworld.World) { w.Flexera(subject, true) }, false},
		{"apiax", "apiax", func(w *fakeworld.World) { w.Apiax(subject) }, false},
		{"sharetribe integration", "sharetribe", func(w *fakeworld.World) { w.Sharetribe(subject, "integration") }, false},
		{"sharetribe anonymous", "sharetribe", func(w *fakeworld.World) { w.Sharetribe(subject, "anonymous") }, false},
		{"sharetribe user", "sharetribe", func(w *fakeworld.World) { w.Sharetribe(subject, "user") }, false},
		{"sharetribe trusted", "sharetribe", func(w *fakeworld.World) { w.Sharetribe(subject, "trusted") }, false},
		{"flexnet", "flexnet", func(w *fakeworld.World) { w.FlexNet(subject) }, false},
		{"oauth2 client", "oauth2", func(w *fakeworld.World) { w.OAuth2(subject, "client_credentials") }, false},
		{"oauth2 refresh", "oauth2", func(w *fakeworld.World) { w.OAuth2(subject, "refresh_token") }, false},
		{"oauth2 password", "oauth2", func(w *fakeworld.World) { w.OAuth2(subject, "password") }, false},
		{"flexera service with a plain copy", "flexera", copied(func(w *fakeworld.World) { w.Flexera(subject, true) }), true},
		{"oauth2 client in a parameter", "oauth2", inParameter(func(w *fakeworld.World) { w.OAuth2(subject, "client_credentials") }), true},
		{"oauth2 client by assertion", "oauth2", byAssertion, true},
		{"flexnet impersonated", "flexnet", impersonated, true},
	}
	var out []scenario
	for _, c := range connections {
		out = append(out,
			scenario{name: c.name + " first", provider: c.provider, arrange: c.connect,
				onlyRefresh: c.name == "oauth2 refresh", variant: c.variant},
			scenario{name: c.name + " renewal", provider: c.provider, arrange: renewed(c.connect),
				onlyRefresh: c.name == "oauth2 refresh", variant: c.variant})
	}
	apiax := func(w *fakeworld.World) { w.Apiax(subject) }
	return append(out,
		scenario{name: "apiax re-mint", provider: "apiax", arrange: endingSession},
		scenario{name: "apiax refresh token dead", provider: "apiax", arrange: func(w *fakeworld.World) {
			renewed(apiax)(w)
			w.IDP.Apiax().EndSessions(subject)
		}},
		scenario{name: "apiax changed password", provider: "apiax", arrange: func(w *fakeworld.World) {
			renewed(apiax)(w)
			password := w.IDP.Apiax().SetPassword(subject, "")
			w.PutSecret("evertoken/"+subject+"/credential",
				`{"username":"`+subject+`","password":`+quote(password)+`}`)
		}},
		scenario{name: "apiax wrong new password", provider: "apiax", onlyRefresh: true,
			arrange: func(w *fakeworld.World) {
				renewed(apiax)(w)
				w.PutSecret("evertoken/"+subject+"/credential",
					`{"username":"`+subject+`","password":"`+wrongPassword+`"}`)
			}},
		scenario{name: "apiax wrong first password", provider: "apiax", onlyRefresh: true,
			arrange: func(w *fakeworld.World) {
				apiax(w)
				w.PutSecret("evertoken/"+subject+"/credential",
					`{"username":"`+subject+`","password":"`+wrongPassword+`"}`)
			}},
	)
}
