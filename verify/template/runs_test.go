package template

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakeworld "evertoken/internal/fake/world"
	"evertoken/internal/issue"
	"evertoken/internal/secrets"
	"evertoken/internal/telemetry"
	"evertoken/internal/wiring"
)

// guard stands between the SDK and the fake of AWS as IAM does: what the role may
// not do is told and refused.
type guard struct {
	t          *testing.T
	aws        *fakeaws.Server
	statements []statement

	mu   sync.Mutex
	used map[string]bool // statements and actions that permitted a request
}

// call is what a request says of itself.
type call struct {
	SecretId, VersionStage, Name, Path string
	SecretIdList, Names                []string
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var c call
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, err
	}
	service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	prefix := map[string]string{"secretsmanager": "secretsmanager:", "AmazonSSM": "ssm:"}[service]
	for _, q := range g.requests(prefix+operation, c) {
		g.hold(q)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// requests are what IAM is asked for a call.
func (g *guard) requests(action string, c call) []request {
	parameter := func(name string) string { return parameterARN + name }
	switch {
	case c.SecretId != "":
		s := g.aws.Secret(c.SecretId)
		context := map[string]string{}
		if c.VersionStage != "" {
			context[stage] = c.VersionStage
		}
		if s.RotationLambda != "" {
			context[rotatedBy] = "RotateFunction.Arn"
		}
		return []request{{action, s.ARN, context}}
	case len(c.SecretIdList) > 0:
		out := []request{{action, "*", nil}}
		for _, id := range c.SecretIdList {
			out = append(out, request{getValue, g.aws.Secret(id).ARN, nil})
		}
		return out
	case c.Path != "":
		return []request{{action, parameter(c.Path), nil}}
	}
	var out []request
	for _, name := range append(c.Names, c.Name) {
		if name != "" {
			out = append(out, request{action, parameter(name), nil})
		}
	}
	return out
}

// hold evaluates a request. Only what names a secret that exists is asked for:
// IAM would refuse the rest without a resource.
func (g *guard) hold(q request) {
	if q.resource == "" {
		return
	}
	if !allows(g.t, g.statements, q) {
		g.t.Errorf("the role may not %s on %s (%v)", q.action, q.resource, q.context)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.statements {
		if s.effect == "Allow" && s.given == "" && s.matches(g.t, q) {
			g.used[s.sid+" "+q.action] = true
		}
	}
}

// guarded are the parts of a world, with the rights of a role.
func guarded(t *testing.T, w *fakeworld.World, id string) (wiring.Parts, *guard) {
	t.Helper()
	g := &guard{t: t, aws: w.AWS, statements: statementsOf(t, id), used: map[string]bool{}}
	c := w.AWS.AWSConfig()
	c.HTTPClient = &http.Client{Transport: g}
	c.Retryer = func() aws.Retryer { return retry.AddWithMaxBackoffDelay(secrets.Retryer()(), time.Nanosecond) }
	parts := w.Parts()
	parts.Secrets = secrets.NewStore(secretsmanager.NewFromConfig(c), nil)
	parts.Parameters = secrets.NewParameters(ssm.NewFromConfig(c))
	return parts, g
}

// granted by statements that are there without a parameter, on Secrets Manager
// and SSM.
func grantedAlways(statements []statement) []string {
	var out []string
	for _, s := range statements {
		for _, action := range s.actions {
			if s.effect == "Allow" && s.given == "" && (strings.HasPrefix(action, "secretsmanager:") || strings.HasPrefix(action, "ssm:")) {
				out = append(out, s.sid+" "+action)
			}
		}
	}
	slices.Sort(out)
	return out
}

// moved is a connection whose session is stored by somebody else meanwhile.
const moved = "moved"

// fleet is a connection of every kind, one with a parameter, one with a plain
// copy.
func fleet(w *fakeworld.World) []string {
	names := w.All()
	o := w.IDP.OAuth2()
	id, secret := o.AddClient(fakeidp.OAuth2Client{})
	for name, more := range map[string]map[string]any{
		"in-a-parameter": {"token_parameter": "/evertoken/tokens/in-a-parameter"},
		"with-a-copy":    {"plain_copy": "evertoken/with-a-copy/copy"},
	} {
		w.Connect(name, "oauth2", map[string]string{"client_id": id, "client_secret": secret}, map[string]any{"token_url": o.TokenURL(), "grant": "client_credentials"}, more)
		names = append(names, name)
	}
	w.AWS.CreateSecret("evertoken/with-a-copy/copy", nil, nil)
	a := w.IDP.Apiax()
	w.Connect(moved, "apiax", map[string]string{"username": moved, "password": a.SetPassword(moved, "")}, map[string]any{"token_url": a.TokenURL()},
		map[string]any{"token_parameter": "/evertoken/tokens/" + moved})
	return append(names, moved)
}

// cannotBeStored refuses the session once a provider was asked.
func cannotBeStored(w *fakeworld.World, session string) {
	w.IDP.Inject(&fakeidp.Fault{Provider: fakeidp.ProviderApiax, Kind: fakeidp.OnlyHook, Times: 1, Hook: func(fakeidp.Request) {
		w.AWS.Inject(&fakeaws.Fault{Operation: "PutSecretValue", Resource: session, Code: "AccessDeniedException"})
	}})
}

// TestIssueNeedsItsRole runs what issue does, in good times and bad, with the
// rights of its role: none is missing, and none is left over.
func TestIssueNeedsItsRole(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	names := fleet(w)
	parts, g := guarded(t, w, "IssueFunction")
	run := func(e issue.Event) issue.Report {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		report, err := parts.Runner(telemetry.NewMetrics(w.Metrics, "test", w.Clock.Now)).Run(ctx, e)
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	day := func() {
		t.Helper()
		for range 5 {
			w.Clock.Advance(5 * time.Hour)
			run(issue.Event{})
		}
	}
	if report := run(issue.Event{}); report.Issued != len(names) {
		t.Fatalf("the first run: %+v\n%s", report, w.Log)
	}
	run(issue.Event{DryRun: true})
	for range 3 { // more often than versions may be made
		w.Clock.Advance(time.Minute)
		run(issue.Event{Connections: names, Force: true})
	}
	day()
	w.AWS.Inject(&fakeaws.Fault{Operation: "DescribeSecret", Resource: "evertoken/moved/session", Kind: fakeaws.OnlyHook, Times: 1, Hook: func(c fakeaws.Call) {
		v, _ := w.AWS.Secret(c.Resource).Labelled(secrets.Current)
		w.PutSecret(c.Resource, v.Value)
	}})
	day()
	// No answer comes, so that refresh tokens are replayed and sessions opened anew.
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropAfter, Times: 2 * len(names)})
	day()
	// A session is granted and cannot be stored.
	cannotBeStored(w, "evertoken/apiax/session")
	day()
	w.AWS.ClearFaults()
	day()
	// Everything that is stored is refused.
	w.IDP.Inject(&fakeidp.Fault{Status: http.StatusBadRequest, Body: []byte(`{"error":"invalid_grant"}`), Header: http.Header{"Content-Type": {"application/json"}}})
	day()
	w.IDP.ClearFaults()
	run(issue.Event{Connections: names, Force: true})
	day()
	check(t, "granted to issue (-) and used by it (+)", grantedAlways(g.statements), slices.Sorted(maps.Keys(g.used)))
}

// TestRotateNeedsItsRole rotates each kind of secret with the rights of rotate's
// role, in good times and bad.
func TestRotateNeedsItsRole(t *testing.T) {
	t.Parallel()
	w := fakeworld.New(t)
	w.Flexera("flexera", true)
	w.Apiax("apiax")
	w.OAuth2("oauth2", "client_credentials")
	w.Sharetribe("sharetribe", "trusted")
	parts, g := guarded(t, w, "RotateFunction")
	rotator := parts.Rotator()
	key, parameter := "evertoken:parameter", "/evertoken/connections/oauth2"
	tagged := "evertoken/oauth2/token"
	_, err := secretsmanager.NewFromConfig(w.AWSConfig()).TagResource(t.Context(), &secretsmanager.TagResourceInput{
		SecretId: &tagged, Tags: []types.Tag{{Key: &key, Value: &parameter}},
	})
	if err != nil {
		t.Fatal(err)
	}
	rotate := func(secret string) (failed error) {
		t.Helper()
		if _, pending := w.AWS.Secret(secret).Labelled(secrets.Pending); !pending {
			w.BeginRotation(secret)
		}
		v, _ := w.AWS.Secret(secret).Labelled(secrets.Pending)
		for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			err := rotator.Handle(ctx, events.SecretsManagerSecretRotationEvent{Step: step, SecretID: w.AWS.Secret(secret).ARN, ClientRequestToken: v.ID})
			cancel()
			if err != nil {
				return err
			}
		}
		return nil
	}
	all := []string{
		"evertoken/flexera/credential", "evertoken/apiax/session", "evertoken/apiax/token",
		"evertoken/oauth2/token", "evertoken/sharetribe/session", "evertoken/sharetribe/token",
	}
	for range 2 {
		for _, secret := range all {
			w.Clock.Advance(5 * time.Hour)
			// The second rotation of the credential meets a client that a person made.
			if err := rotate(secret); err != nil && !strings.Contains(err.Error(), "evertoken:delete-client") {
				t.Fatalf("%s: %v", secret, err)
			}
		}
	}
	cannotBeStored(w, "evertoken/apiax/session")
	w.Clock.Advance(5 * time.Hour)
	if err := rotate("evertoken/apiax/token"); err != nil { // the token is good, the session is rescued
		t.Errorf("a session that cannot be stored: %v", err)
	}
	w.AWS.ClearFaults()
	w.Clock.Advance(45 * time.Minute)
	if err := rotate("evertoken/apiax/token"); err != nil {
		t.Errorf("after a session was rescued: %v", err)
	}
	w.Clock.Advance(5 * time.Hour)
	cannotBeStored(w, "evertoken/apiax/session")
	w.Run(issue.Event{}) // the other function, and the same fault
	w.AWS.ClearFaults()
	w.Clock.Advance(time.Hour)
	if err := rotate("evertoken/apiax/token"); err != nil {
		t.Errorf("after a session was rescued: %v", err)
	}
	bad := func() {
		t.Helper()
		for _, secret := range all {
			w.Clock.Advance(16 * time.Minute)
			_ = rotate(secret) // the fault
		}
	}
	w.IDP.Inject(&fakeidp.Fault{Kind: fakeidp.DropAfter, Times: len(all)})
	bad()
	bad()
	w.IDP.Inject(&fakeidp.Fault{Status: http.StatusBadRequest, Body: []byte(`{"error":"invalid_grant"}`), Header: http.Header{"Content-Type": {"application/json"}}})
	bad()
	w.IDP.ClearFaults()
	bad()
	check(t, "granted to rotate (-) and used by it (+)", grantedAlways(g.statements), slices.Sorted(maps.Keys(g.used)))
}
